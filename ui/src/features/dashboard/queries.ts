import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { type RunningNow, runningOf } from "./running";

/** How many running executions are read: the page shows the newest, and how many there are in all. */
const RUNNING_MAX = 100;

/** What runs at the moment, newest first. */
export function runningQuery(floor: number) {
  return queryOptions({
    queryKey: keys.executions.running,
    queryFn: async ({ signal }): Promise<{ value: RunningNow; position: number; next: null }> => {
      const query = { status: "running", limit: RUNNING_MAX, min_position: floor };
      const { value, position } = await load(
        api.GET("/api/executions", { params: { query }, signal }),
      );
      return { value: runningOf(value), position, next: null };
    },
  });
}

/** How executions ended, hour by hour since `from`. */
export function historyQuery(from: string, floor: number) {
  return queryOptions({
    queryKey: keys.executions.history(from),
    queryFn: ({ signal }) => {
      const query = { from, bucket: "hour", min_position: floor } as const;
      return load(api.GET("/api/executions/history", { params: { query }, signal }));
    },
    placeholderData: keepPreviousData,
  });
}

/** What failed since `from`, by agent and cause. */
export function failuresQuery(from: string, floor: number) {
  return queryOptions({
    queryKey: keys.executions.failures(from),
    queryFn: ({ signal }) => {
      const query = { from, min_position: floor };
      return load(api.GET("/api/executions/failures", { params: { query }, signal }));
    },
    placeholderData: keepPreviousData,
  });
}
