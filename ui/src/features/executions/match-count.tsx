import { useQuery } from "@tanstack/react-query";
import type { Schemas } from "@/api/client";
import { formatCost, formatCount } from "@/lib/format";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveRefresh } from "@/live/hooks";
import { facetsQuery } from "./queries";
import type { ExecutionSearch } from "./search";

/** What is counted of the executions that fit a filter. */
type Counted = Pick<Schemas["Facets"], "total" | "cost" | "is_cut">;

/** The events that change how many executions there are, or what they cost. */
const COUNTED = new Set([
  "ExecutionRequested",
  "ExecutionStarted",
  "ExecutionCompleted",
  "ExecutionFailed",
  "ExecutionCancelled",
]);

const isCounted = ({ type }: LogEvent) => COUNTED.has(type);

/** How many executions fit the filter, and what they cost together. */
export function MatchCount({ search }: { search: ExecutionSearch }) {
  const hub = useLiveHub();
  const options = facetsQuery(search, hub.recent.floor);
  const { data } = useQuery(options);
  useLiveRefresh(options.queryKey, data, isCounted);
  return data ? matchText(data.value) : null;
}

/** The count and the sum in words; where only the newest were counted, there may be more. */
export function matchText({ total, cost, is_cut }: Counted): string {
  const more = is_cut ? "+" : "";
  const runs = `${formatCount(total)}${more} ${total === 1 && !is_cut ? "run" : "runs"}`;
  return total === 0 ? runs : `${runs} · ${formatCost(cost)}${more}`;
}
