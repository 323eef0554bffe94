import type { Agent } from "./fold";

/** What can be asked of an agent as a whole. */
export type AgentChange = "start" | "stop" | "pause" | "restart";

/** The phases in which each of them does something. */
const STARTABLE: ReadonlySet<Agent["phase"]> = new Set(["stopped", "failed", "paused"]);
const STOPPABLE: ReadonlySet<Agent["phase"]> = new Set([
  "running",
  "starting",
  "restarting",
  "paused",
]);

/** What can be asked of an agent in this moment. */
export function possible({ phase, isolation }: Pick<Agent, "phase" | "isolation">) {
  return {
    canStart: STARTABLE.has(phase),
    canStop: STOPPABLE.has(phase),
    // Processes of this machine cannot be frozen.
    canPause: phase === "running" && isolation === "container",
  };
}
