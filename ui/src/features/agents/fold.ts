import type { Schemas } from "@/api/client";
import type { LogEvent } from "@/live/event";

/** An agent as lists have it. */
export type Agent = Schemas["Agent"];

/** An agent as its page has it. */
export type AgentDetail = Schemas["AgentDetail"];

/** The agent after an event; the same object when nothing of it changes. */
export function foldAgent<A extends Agent>(agent: A, event: LogEvent): A {
  if (event.stream_type === "slots" && event.stream_id === agent.incarnation) {
    return foldSlots(agent, event);
  }
  if (event.stream_type !== "agent" || event.stream_id !== agent.name) return agent;
  const { position, version } = event;
  return { ...agent, position, version, ...moved(agent, event), ...configured(event) };
}

function foldSlots<A extends Agent>(agent: A, event: LogEvent): A {
  const slots = slotsAfter(agent.slots, event);
  return slots === agent.slots ? agent : { ...agent, slots };
}

/** How full an agent is after an event of its slots; the same object when that changes nothing. */
export function slotsAfter(slots: Agent["slots"], { type, data }: LogEvent): Agent["slots"] {
  const { active, queued } = slots;
  switch (type) {
    case "CapacitySet":
      return { ...slots, max: Number(data.max_parallel_tasks) };
    case "ExecutionEnqueued":
      return { ...slots, queued: queued + 1 };
    case "SlotAcquired":
      // The first grant takes an entry out of the queue; a later one renews a slot that was held.
      return {
        ...slots,
        active: active + 1,
        queued: data.epoch === 1 ? Math.max(0, queued - 1) : queued,
      };
    case "SlotReleased":
    case "SlotExpired":
      return { ...slots, active: Math.max(0, active - 1) };
    case "ExecutionDequeued":
      return { ...slots, queued: Math.max(0, queued - 1) };
    default:
      return slots;
  }
}

type Phase = Agent["phase"];

const STATUS_OF: Partial<Record<Phase, Agent["status"]>> = {
  running: "running",
  // What is being stopped still runs.
  stopping: "running",
  paused: "paused",
  restarting: "restarting",
};

/** What the restart failed at of which an event tells, if it does. */
function failed(event: LogEvent): Agent["failure"] {
  return (event.data.failure ?? null) as Agent["failure"];
}

/** How an event moves an agent through its life. */
function moved(agent: Agent, event: LogEvent): Partial<Agent> {
  const to = (phase: Phase, rest: Partial<Agent> = {}): Partial<Agent> => ({
    phase,
    status: STATUS_OF[phase] ?? "stopped",
    failure: null,
    ...rest,
  });
  switch (event.type) {
    case "AgentProvisioned":
      return to("stopped", { container_id: String(event.data.host_ref) });
    case "AgentProvisionFailed":
    case "AgentStartFailed": {
      const { step, error } = event.data as { step: string; error: string };
      return to("failed", { failure: { step, error } });
    }
    case "AgentStartRequested":
      return to(agent.container_id === null ? "creating" : "starting");
    case "AgentStarted":
      return to("running", { container_id: String(event.data.host_ref) });
    case "AgentStopRequested":
      return to(agent.phase === "creating" ? "creating" : "stopping");
    case "AgentStopped":
      return to("stopped", { failure: failed(event) });
    case "AgentStatusObserved": {
      const { status } = event.data as { status: string };
      const phase = status === "running" || status === "paused" ? status : "restarting";
      return to(phase, { failure: failed(event) });
    }
    case "AgentDeleteRequested":
      return to("deleting");
    case "AgentReinitialized":
      return to("creating", { container_id: null });
    default:
      return {};
  }
}

/** What an event sets of the configuration. */
function configured({ type, data }: LogEvent): Partial<AgentDetail> {
  switch (type) {
    case "AutonomyChanged":
      return { autonomy: data.enabled === true };
    case "CapacityChanged":
      return { max_parallel_tasks: Number(data.max_parallel_tasks) };
    case "ExecutionTimeoutChanged":
      return { execution_timeout_seconds: Number(data.seconds) };
    case "ModelChanged":
      return { model: typeof data.model === "string" ? data.model : null };
    case "TagsChanged":
      return { tags: data.tags as string[] };
    // What is set in parts is sent as a whole, so it must be current before the server is asked again.
    case "ResourcesChanged":
      return { resources: data as AgentDetail["resources"] };
    case "ReadOnlyChanged":
      return { read_only: data as AgentDetail["read_only"] };
    case "GitSyncConfigured":
      return { git_sync: data as AgentDetail["git_sync"] };
    case "GitSyncRemoved":
      return { git_sync: null };
    case "AvatarChanged":
      return { avatar_sha256: data.sha256 as string | null };
    case "ToolsChanged":
      return { tools: data.tools as string[] };
    case "SkillsChanged":
      return { skills: data.names as string[] };
    case "CredentialsChanged":
      return { credentials: data.names as string[] };
    default:
      return {};
  }
}
