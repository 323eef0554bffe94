import {
  type Execution,
  executionIdOf,
  foldExecution,
  requested,
} from "@/features/executions/fold";
import type { LogEvent } from "@/live/event";

/** How many executions that wait are remembered, to be shown as soon as they run. */
const WAITING_MAX = 500;

/** What runs at the moment, as far as it is known here. */
export interface RunningNow {
  /** Newest first. */
  readonly rows: readonly Execution[];
  /** Requested since, and not started yet: newest first. */
  readonly waiting: readonly Execution[];
  /** Whether something runs that only the server can describe. */
  readonly isStale: boolean;
}

/** What runs, as the server tells it. */
export function runningOf(rows: readonly Execution[]): RunningNow {
  return { rows, waiting: [], isStale: false };
}

/** What runs after some events; the same object when they change nothing of it. */
export function applyToRunning(before: RunningNow, events: readonly LogEvent[]): RunningNow {
  return events.reduce(applyOne, before);
}

function applyOne(now: RunningNow, event: LogEvent): RunningNow {
  const id = executionIdOf(event);
  if (id === null) return now;
  if (event.type === "ExecutionRequested") {
    return { ...now, waiting: [requested(event), ...now.waiting].slice(0, WAITING_MAX) };
  }
  const running = now.rows.find((row) => row.id === id);
  if (running) return replaced(now, running, foldExecution(running, event));
  const waiting = now.waiting.find((row) => row.id === id);
  if (waiting) return left(now, waiting, foldExecution(waiting, event));
  return event.type === "ExecutionStarted" && !now.isStale ? { ...now, isStale: true } : now;
}

function replaced(now: RunningNow, before: Execution, after: Execution): RunningNow {
  if (after === before) return now;
  const rows = now.rows.flatMap((row) => {
    if (row !== before) return [row];
    return after.status === "running" ? [after] : [];
  });
  return { ...now, rows };
}

/** Whoever waited runs, has ended without, or waits on. */
function left(now: RunningNow, before: Execution, after: Execution): RunningNow {
  if (after === before) return now;
  if (after.status === "pending") {
    return { ...now, waiting: now.waiting.map((row) => (row === before ? after : row)) };
  }
  const waiting = now.waiting.filter((row) => row !== before);
  if (after.status !== "running") return { ...now, waiting };
  const rows = [after, ...now.rows].sort((a, b) => b.created_at.localeCompare(a.created_at));
  return { ...now, waiting, rows };
}
