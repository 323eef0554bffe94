import type { Schemas } from "@/api/client";
import { groupBy } from "@/lib/group-by";
import type { LogEvent } from "@/live/event";
import { type Agent, foldAgent } from "./fold";

/** A page of the agents, newest first. */
export interface AgentsPage {
  readonly agents: readonly Agent[];
  /** Whether only the server knows what has changed: somebody has made or shared an agent. */
  readonly isStale: boolean;
}

/** Changes a page by events; gives back the same one when they do not concern it. */
export function applyToAgents(page: AgentsPage, events: readonly LogEvent[]): AgentsPage {
  const concerned = events.filter(isOfAgents);
  if (concerned.length === 0) return page;
  const gone = new Set<string>();
  for (const { type, stream_id } of concerned) if (type === "AgentDeleted") gone.add(stream_id);
  const byStream = groupBy(concerned, ({ stream_id }) => stream_id);
  let isChanged = false;
  const agents = page.agents.flatMap((agent) => {
    if (gone.has(agent.name)) {
      isChanged = true;
      return [];
    }
    const own = [...(byStream.get(agent.name) ?? []), ...(byStream.get(agent.incarnation) ?? [])];
    const folded = own.reduce(foldAgent, agent);
    isChanged ||= folded !== agent;
    return [folded];
  });
  const isStale = page.isStale || concerned.some(needsServer);
  if (!isChanged && isStale === page.isStale) return page;
  return { agents: isChanged ? agents : page.agents, isStale };
}

const NEEDS_SERVER = new Set([
  "AgentCreated",
  "AgentShared",
  "AgentUnshared",
  // How its runs are kept apart is known to its host alone.
  "AgentProvisioned",
]);

function needsServer({ type }: LogEvent): boolean {
  return NEEDS_SERVER.has(type);
}

function isOfAgents({ stream_type }: LogEvent): boolean {
  return stream_type === "agent" || stream_type === "slots";
}

/** What each agent was given last, by its name. */
export type LatestRuns = Readonly<Record<string, Schemas["LatestExecution"]>>;

/** Changes what agents ran last by events. */
export function applyToLatest(latest: LatestRuns, events: readonly LogEvent[]): LatestRuns {
  let next: Record<string, Schemas["LatestExecution"]> | null = null;
  for (const event of events) {
    const changed = latestAfter(next ?? latest, event);
    if (changed === null) continue;
    next ??= { ...latest };
    next[changed[0]] = changed[1];
  }
  return next ?? latest;
}

function latestAfter(
  latest: LatestRuns,
  event: LogEvent,
): [string, Schemas["LatestExecution"]] | null {
  if (event.stream_type !== "execution") return null;
  if (event.type === "ExecutionRequested") {
    const { stream_id: id, recorded_at: created_at } = event;
    return [String(event.data.agent), { id, status: "pending", created_at, completed_at: null }];
  }
  const status = STATUS_AFTER[event.type];
  if (status === undefined) return null;
  const found = Object.entries(latest).find(([, run]) => run.id === event.stream_id);
  if (!found) return null;
  const completed_at = status === "running" ? null : event.recorded_at;
  return [found[0], { ...found[1], status, completed_at }];
}

const STATUS_AFTER: Readonly<Record<string, Schemas["LatestExecution"]["status"]>> = {
  ExecutionStarted: "running",
  ExecutionCompleted: "completed",
  ExecutionFailed: "failed",
  ExecutionCancelled: "cancelled",
};
