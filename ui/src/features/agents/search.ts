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

/** Whether an agent fits a filter: its status, and every word in its name, model, owner or tags. */
export function fits(search: AgentSearch, agent: Agent): boolean {
  const { status, q } = search;
  if (status !== undefined && !status.split(",").includes(statusWord(agent))) return false;
  if (q === undefined) return true;
  const { name, runtime, model, owner, type, tags } = agent;
  const text = [name, runtime, model ?? "", owner, type, ...tags].join(" ").toLowerCase();
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** Whether a filter says anything. */
export function hasFilter({ status, q }: AgentSearch): boolean {
  return status !== undefined || q !== undefined;
}
