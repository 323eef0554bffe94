import * as v from "valibot";
import type { Agent } from "./fold";

/** The statuses that the list can be narrowed to: the phases that last, and all that pass. */
export const AGENT_STATUSES = ["running", "stopped", "changing", "paused", "failed"] as const;

/** One of them. */
export type AgentStatusWord = (typeof AGENT_STATUSES)[number];

const keep = (list: string) =>
  list
    .split(",")
    .filter((word) => (AGENT_STATUSES as readonly string[]).includes(word))
    .join(",") || undefined;

/** The address of the list is its filter; what is not known is dropped. */
export const agentSearch = v.object({
  status: v.fallback(v.optional(v.pipe(v.string(), v.transform(keep))), undefined),
  tag: v.fallback(v.optional(v.pipe(v.string(), v.minLength(1))), undefined),
  q: v.fallback(v.optional(v.string()), undefined),
  view: v.fallback(v.optional(v.picklist(["table", "cards"])), undefined),
});

/** A filter as it stands in an address. */
export type AgentSearch = v.InferOutput<typeof agentSearch>;

/** Under which of those statuses an agent stands. */
export function statusWord({ phase }: Pick<Agent, "phase">): AgentStatusWord {
  switch (phase) {
    case "running":
    case "stopped":
    case "paused":
    case "failed":
      return phase;
    default:
      return "changing";
  }
}

/** Whether an agent fits a filter: its status, one of the tags, and every word in what it is. */
export function fits(search: AgentSearch, agent: Agent): boolean {
  const { status, tag, q } = search;
  if (status !== undefined && !status.split(",").includes(statusWord(agent))) return false;
  if (tag !== undefined && !tag.split(",").some((one) => agent.tags.includes(one))) return false;
  if (q === undefined) return true;
  const { name, runtime, model, owner, type, tags } = agent;
  const text = [name, runtime, model ?? "", owner, type, ...tags].join(" ").toLowerCase();
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** Whether a filter says anything. */
export function hasFilter({ status, tag, q }: AgentSearch): boolean {
  return status !== undefined || tag !== undefined || q !== undefined;
}

/** The tags of some agents with how many have each, the most frequent first. */
export function tagCounts(agents: readonly Pick<Agent, "tags">[]): [tag: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { tags } of agents) {
    for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  }
  return [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
}
