import { useQuery } from "@tanstack/react-query";
import { formatCount } from "@/lib/format";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveRefresh } from "@/live/hooks";
import { facetsQuery } from "./queries";
import type { ExecutionSearch } from "./search";

/** The events that change how many executions there are of a status. */
const COUNTED = new Set([
  "ExecutionRequested",
  "ExecutionStarted",
  "ExecutionCompleted",
  "ExecutionFailed",
  "ExecutionCancelled",
]);

const isCounted = ({ type }: LogEvent) => COUNTED.has(type);

/** How many executions fit the filter, where the server can tell without looking at each. */
export function MatchCount({ search }: { search: ExecutionSearch }) {
  const hub = useLiveHub();
  const isCountable = !search.q && !search.cost_min && !search.cost_max;
  const options = facetsQuery(search, hub.recent.floor);
  const { data } = useQuery({ ...options, enabled: isCountable });
  useLiveRefresh(options.queryKey, data, isCounted);
  return isCountable && data ? formatCount(data.value.total) : null;
}
