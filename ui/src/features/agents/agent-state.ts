import type { ApiError } from "@/api/problem";
import type { LogEvent } from "@/live/event";
import { type AgentDetail, foldAgent } from "./fold";

/** When an agent was deleted, and by whom; as far as whoever asks may know. */
export interface Deletion {
  readonly at: string | null;
  readonly by: string | null;
}

/** What the page of an agent knows of it. */
export interface AgentState {
  readonly agent: AgentDetail;
  /** Who has asked for its deletion, while that goes on. */
  readonly deletedBy: string | null;
  /** Set once the agent is gone. */
  readonly deletion: Deletion | null;
  /** Whether only the server knows what it is now: the name has a new life, or others see it. */
  readonly isStale: boolean;
}

/** An agent as it was read. */
export function agentPageOf(agent: AgentDetail): AgentState {
  return { agent, deletedBy: null, deletion: null, isStale: false };
}

/** The events after which the server must be asked. */
const NEEDS_SERVER = new Set([
  "AgentCreated",
  "AgentProvisioned",
  "AgentShared",
  "AgentUnshared",
  "ReadOnlyChanged",
  "ResourcesChanged",
  "CapabilitiesChanged",
  "McpServersChanged",
  "FoldersChanged",
  "GitSyncConfigured",
  "GitSyncRemoved",
  "InstructionsChanged",
]);

/** Changes what the page knows by events; gives back the same when they do not concern it. */
export function applyToAgent(state: AgentState, events: readonly LogEvent[]): AgentState {
  return events.reduce(step, state);
}

function step(state: AgentState, event: LogEvent): AgentState {
  const agent = foldAgent(state.agent, event);
  if (agent === state.agent) return state;
  const next = { ...state, agent };
  if (event.type === "AgentDeleteRequested") return { ...next, deletedBy: event.actor };
  if (event.type === "AgentDeleted") {
    const by = state.deletedBy ?? event.actor;
    return { ...next, deletion: { at: event.recorded_at, by } };
  }
  return needsServer(state.agent, event) ? { ...next, isStale: true } : next;
}

function needsServer({ restart_needed }: AgentDetail, { type }: LogEvent): boolean {
  // With what it was started is compared by the server with what is set now.
  return NEEDS_SERVER.has(type) || (restart_needed && type === "AgentStarted");
}

/** What the answer for an agent that is not there says about its end; null when it says nothing. */
export function deletionOf(error: ApiError): Deletion | null {
  const { deleted_at, deleted_by } = error.members;
  if (error.status !== 404 || typeof deleted_at !== "string") return null;
  return { at: deleted_at, by: typeof deleted_by === "string" ? deleted_by : null };
}
