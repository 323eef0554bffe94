import type { Schemas } from "@/api/client";
import { alternatives } from "@/app/search-params";
import { type ExecutionSearch, toQuery } from "./search";

/** Which executions are to be ended: those that were chosen, or all that a filter finds. */
export type BulkTarget = { readonly ids: readonly string[] } | { readonly search: ExecutionSearch };

/** What the server is asked to select. */
export function previewOf(target: BulkTarget, nowMs: number): Schemas["BulkPreview"] {
  if ("ids" in target) return { action: "terminate", ids: [...target.ids] };
  const { search } = target;
  const { from, to, cost_min, cost_max, q } = toQuery(search, nowMs);
  return {
    action: "terminate",
    filter: {
      agent: search.agent === undefined ? undefined : alternatives(search.agent),
      status: statuses(search.status),
      triggered_by: words(search.triggered_by),
      from,
      to,
      q,
      cost_min,
      cost_max,
    },
  };
}

type Filter = NonNullable<Schemas["BulkPreview"]["filter"]>;

// The address holds known words alone: its schema drops the others.
function statuses(list: string | undefined) {
  return list === undefined ? undefined : (alternatives(list) as Filter["status"]);
}

function words(list: string | undefined) {
  return list === undefined ? undefined : (alternatives(list) as Filter["triggered_by"]);
}

const OUTCOME: Record<Schemas["BulkStatus"], string> = {
  cancelling: "being stopped",
  cancelled_while_queued: "taken out of the queue",
  cancelled: "were cancelled before",
  already_finished: "had ended before",
  failed: "could not be stopped",
};

/** What has become of a selection, in words: `2 being stopped, 1 had ended before`. */
export function outcomeText(counts: Readonly<Record<string, number>>): string {
  const known = Object.entries(OUTCOME);
  return known
    .flatMap(([status, text]) => (counts[status] ? [`${counts[status]} ${text}`] : []))
    .join(", ");
}
