import { Button } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { useNow } from "@/components/clock";
import { Time } from "@/components/time";
import { isPaused } from "@/live/connection";
import { useConnection, useLiveHub } from "@/live/context";
import classes from "./paused-banner.module.css";

/** Says that the page is not live at the moment, since when, and when that is tried to be mended. */
export function PausedBanner() {
  const hub = useLiveHub();
  const connection = useConnection();
  const now = useNow(connection.lostAt !== null);
  const isShown = isPaused(connection, now);
  const seconds = Math.max(0, Math.ceil(((connection.retryAt ?? now) - now) / 1_000));
  return (
    <div role="status">
      {isShown && (
        <div className={classes.banner}>
          <IconPlugConnectedX size={16} aria-hidden />
          <span>
            Live updates paused
            {connection.heardAt !== null && (
              <>
                {" – data as of "}
                <Time at={new Date(connection.heardAt).toISOString()} format="time" />
              </>
            )}
          </span>
          {/* Once a second would be too often to hear. */}
          <span className={classes.retry} aria-hidden>
            {connection.phase === "connecting" ? "Retrying now" : `Retrying in ${seconds} s`}
          </span>
          <Button size="compact-xs" variant="default" onClick={() => hub.retryNow()}>
            Retry now
          </Button>
        </div>
      )}
    </div>
  );
}
