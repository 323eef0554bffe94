import { formatDuration, formatRunning } from "@/lib/format";
import { isPaused } from "@/live/connection";
import { useConnection } from "@/live/context";
import { useServerNow } from "./clock";

interface DurationProps {
  /** How long it took, in milliseconds; null while it has not ended. */
  ms: number | null;
  /** When it began, RFC 3339; null when it has not. */
  since: string | null;
}

/** How long something took, or has taken so far. */
export function Duration({ ms, since }: DurationProps) {
  if (ms !== null) return <span className="numeric">{formatDuration(ms)}</span>;
  if (since === null) return <span>–</span>;
  return <RunningDuration since={since} />;
}

/** Ticks with the clock; stands still, marked by `~`, while nobody tells whether it still runs. */
function RunningDuration({ since }: { since: string }) {
  const connection = useConnection();
  const now = useServerNow();
  const stopped = isPaused(connection, now) ? connection.heardAt : null;
  const text = formatRunning((stopped ?? now) - Date.parse(since));
  return <span className="numeric">{stopped === null ? text : `~${text}`}</span>;
}
