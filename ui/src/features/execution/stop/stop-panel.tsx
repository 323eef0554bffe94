import { Button } from "@mantine/core";
import { IconCheck, IconCircleDashed, IconPlayerStop } from "@tabler/icons-react";
import { useServerNow } from "@/components/clock";
import { Time } from "@/components/time";
import type { Execution } from "@/features/executions/fold";
import { formatRunning } from "@/lib/format";
import { useExecutionEvents } from "../use-execution";
import { graceMs, isUrgent, STOP_EVENTS, type StopPhase, stopPhases } from "./phases";
import classes from "./stop.module.css";
import { useStop } from "./use-stop";

const ICON = { done: IconCheck, now: IconPlayerStop, ahead: IconCircleDashed } as const;

/** How the stop of a run goes, step by step as it happens. */
export function StopPanel({ execution }: { execution: Execution }) {
  const { events } = useExecutionEvents(execution.id, STOP_EVENTS);
  const stop = useStop(execution);
  const phases = stopPhases(execution, events);
  const canKill = execution.cancel_phase !== "killing" && !isUrgent(events);
  return (
    <section className={classes.panel} aria-label="Stop">
      <ol className={classes.phases}>
        {phases.map((phase) => (
          <Phase key={phase.name} phase={phase} graceMs={graceMs(events)} />
        ))}
      </ol>
      {canKill && (
        <Button
          size="compact-sm"
          color="danger"
          loading={stop.isPending}
          onClick={() => stop.mutate({ force: true })}
        >
          Kill now
        </Button>
      )}
    </section>
  );
}

function Phase({ phase, graceMs }: { phase: StopPhase; graceMs: number | null }) {
  const Icon = ICON[phase.state];
  const isGrace = phase.name === "interrupting" && phase.state === "now" && phase.at !== null;
  return (
    <li
      className={classes.phase}
      data-state={phase.state}
      aria-current={phase.state === "now" ? "step" : undefined}
    >
      <Icon size={16} aria-hidden />
      <span>
        {phase.label} {phase.at && <Time at={phase.at} format="time" />}
      </span>
      {isGrace && phase.at && <Grace since={phase.at} graceMs={graceMs} />}
    </li>
  );
}

/** The time that a run has to end by itself: what is left of it, or how much has passed. */
function Grace({ since, graceMs }: { since: string; graceMs: number | null }) {
  const passedMs = Math.max(0, useServerNow() - Date.parse(since));
  if (graceMs === null) {
    return <span className={classes.grace}>for {formatRunning(passedMs)}</span>;
  }
  const leftMs = Math.max(0, graceMs - passedMs);
  return (
    <span className={classes.grace}>
      <span className={classes.bar} aria-hidden>
        <span style={{ width: `${Math.round((leftMs / graceMs) * 100)}%` }} />
      </span>
      {leftMs > 0 ? `${Math.ceil(leftMs / 1_000)} s left` : "time is over"}
    </span>
  );
}
