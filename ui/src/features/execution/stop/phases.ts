import type { Execution } from "@/features/executions/fold";
import type { LogEvent } from "@/live/event";

/** The events that tell how a stop goes. */
export const STOP_EVENTS = ["CancelRequested", "InterruptSent", "KillSent"] as const;

/** One step of a stop. */
export interface StopPhase {
  readonly name: "requested" | "interrupting" | "killing";
  readonly label: string;
  readonly state: "done" | "now" | "ahead";
  /** When it happened, RFC 3339; null while it has not, or while that is not known. */
  readonly at: string | null;
}

const LABEL = {
  requested: "Stop requested",
  interrupting: "SIGINT sent",
  killing: "SIGKILL",
} as const;

const ORDER = ["requested", "interrupting", "killing"] as const;

/** The steps of a stop that is under way: what has happened, what happens, what may come. */
export function stopPhases(
  execution: Pick<Execution, "cancel_phase">,
  events: readonly LogEvent[],
): readonly StopPhase[] {
  const names: readonly unknown[] = ORDER;
  const reached = names.indexOf(execution.cancel_phase);
  const at = (type: string) => events.find((event) => event.type === type);
  const times = {
    requested: at("CancelRequested")?.recorded_at ?? null,
    interrupting: sentAt(at("InterruptSent")),
    killing: sentAt(at("KillSent")),
  };
  return ORDER.map((name, index) => ({
    name,
    label: LABEL[name],
    state: index < reached ? "done" : index === reached ? "now" : "ahead",
    at: times[name],
  }));
}

/** Whether somebody has asked to kill it at once. */
export function isUrgent(events: readonly LogEvent[]): boolean {
  return events.some(({ type, data }) => type === "CancelRequested" && data.urgency === "kill");
}

/** How long after SIGINT the processes are killed, in milliseconds; null when it is not known. */
export function graceMs(events: readonly LogEvent[]): number | null {
  const sent = events.find(({ type }) => type === "InterruptSent")?.data.grace_ms;
  return typeof sent === "number" ? sent : null;
}

function sentAt(event: LogEvent | undefined): string | null {
  return event ? String(event.data.at ?? event.recorded_at) : null;
}
