import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useServerHour } from "@/components/clock";
import { facetsQuery } from "@/features/executions/queries";
import type { ExecutionSearch } from "@/features/executions/search";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveData, useLiveRefresh } from "@/live/hooks";
import { useStaleRefresh } from "@/live/use-stale-refresh";
import { failuresQuery, historyQuery, runningQuery } from "./queries";
import { applyToRunning } from "./running";

const HOUR_MS = 3_600_000;

/** How many hours the page looks back, the one that has begun included. */
const HOURS = 24;

const EVERYTHING = {} as ExecutionSearch;

const ENDS = new Set(["ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled"]);
const COUNTED = new Set([...ENDS, "ExecutionRequested", "ExecutionStarted"]);

const hasEnded = ({ type }: LogEvent) => ENDS.has(type);
const hasFailed = ({ type }: LogEvent) => type === "ExecutionFailed";
const isCounted = ({ type }: LogEvent) => COUNTED.has(type);

/** From when on the page counts: the beginning of an hour, so that it agrees with itself everywhere. */
export function useDayBegin(): string {
  const hour = useServerHour();
  return useMemo(() => new Date((hour - HOURS + 1) * HOUR_MS).toISOString(), [hour]);
}

/** How many executions there are of each status, of all times. */
export function useCounts() {
  const options = facetsQuery(EVERYTHING, useLiveHub().recent.floor);
  const query = useQuery(options);
  useLiveRefresh(options.queryKey, query.data, isCounted);
  return query;
}

/** How executions ended, hour by hour. */
export function useHistory(from: string) {
  const options = historyQuery(from, useLiveHub().recent.floor);
  const query = useQuery(options);
  useLiveRefresh(options.queryKey, query.data, hasEnded);
  return query;
}

/** What failed, by agent and cause. */
export function useFailures(from: string) {
  const options = failuresQuery(from, useLiveHub().recent.floor);
  const query = useQuery(options);
  useLiveRefresh(options.queryKey, query.data, hasFailed);
  return query;
}

/** What runs at the moment, newest first. */
export function useRunning() {
  const options = runningQuery(useLiveHub().recent.floor);
  const query = useQuery(options);
  useLiveData(options.queryKey, query.data, applyToRunning);
  useStaleRefresh(options.queryKey, query.data, query.data?.value.isStale ?? false);
  return query;
}
