import { Tooltip } from "@mantine/core";
import { IconAlertTriangle, IconPlugConnectedX, IconRefresh } from "@tabler/icons-react";
import { useNow } from "@/components/clock";
import { formatCount, formatDuration } from "@/lib/format";
import { isPaused } from "@/live/connection";
import { useConnection } from "@/live/context";
import { LAG_MS_MIN, useLag } from "@/live/lag";
import classes from "./live-chip.module.css";

/** Whether what the page shows is current: live, behind, or paused. */
export function LiveChip() {
  const connection = useConnection();
  const lag = useLag();
  const now = useNow(connection.lostAt !== null);
  if (isPaused(connection, now)) {
    return (
      <Chip tone="attention" hint="Nothing is heard of the server; the page shows what it knew">
        <IconPlugConnectedX size={14} aria-hidden />
        Paused
      </Chip>
    );
  }
  if (connection.phase !== "open") {
    return (
      <Chip tone="neutral" hint="The live stream is being opened">
        <IconRefresh size={14} aria-hidden />
        Connecting
      </Chip>
    );
  }
  if (lag && lag.ms >= LAG_MS_MIN) {
    const events = `${formatCount(lag.events)} events`;
    return (
      <Chip tone="attention" hint={`The server's views are ${events} behind its log`}>
        <IconAlertTriangle size={14} aria-hidden />
        {formatDuration(lag.ms)} behind
      </Chip>
    );
  }
  return (
    <Chip tone="success" hint="The page changes as things happen">
      <span className={classes.dot} aria-hidden />
      Live
    </Chip>
  );
}

function Chip(props: { tone: string; hint: string; children: React.ReactNode }) {
  return (
    <Tooltip label={props.hint}>
      <span className={classes.chip} data-tone={props.tone} data-testid="live-chip">
        {props.children}
      </span>
    </Tooltip>
  );
}
