import { infiniteQueryOptions, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { executionIdOf } from "@/features/executions/fold";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveEvents } from "@/live/hooks";
import { useStaleRefresh } from "@/live/use-stale-refresh";
import type { ActivitySearch } from "./search";

const PAGE_ACTIVITIES = 200;

/** The activity of an agent that fits a filter, page by page, each holding at `floor` or later. */
function activitiesQuery(name: string, search: ActivitySearch, floor: number) {
  return infiniteQueryOptions({
    queryKey: keys.agents.activities(name, search),
    queryFn: ({ pageParam, signal }) => {
      const query = {
        activity_type: search.type,
        activity_state: search.state,
        triggered_by: search.triggered_by,
        q: search.q,
        limit: PAGE_ACTIVITIES,
        cursor: pageParam ?? undefined,
        min_position: floor,
      };
      const params = { path: { name }, query };
      return load(api.GET("/api/agents/{name}/activities", { params, signal }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.value.next_cursor ?? null,
  });
}

/**
 * The activity of an agent. Entries follow from several events, so they are read again when any of
 * them comes; not while older pages are read, where the rows would move.
 */
export function useActivities(name: string, search: ActivitySearch) {
  const client = useQueryClient();
  const hub = useLiveHub();
  const options = activitiesQuery(name, search, hub.recent.floor);
  const query = useInfiniteQuery(options);
  // Where in the log something happened last that may be shown here.
  const [movedAt, setMovedAt] = useState(0);
  const isStale = movedAt > (query.data?.pages[0]?.position ?? movedAt);
  const isAtHead = (query.data?.pages.length ?? 0) <= 1;
  useLiveEvents((events) => {
    const mine = query.data?.pages.flatMap(({ value }) => value.activities) ?? [];
    const known = new Set(mine.map(({ related_execution_id }) => related_execution_id));
    const last = events.findLast((event) => concerns(name, known, event));
    if (last) setMovedAt(last.position);
  });
  useStaleRefresh(options.queryKey, query.data, isStale && isAtHead);
  return {
    query,
    activities: query.data?.pages.flatMap(({ value }) => value.activities) ?? [],
    /** Whether something has happened that is not shown, as older pages are. */
    isBehind: isStale && !isAtHead,
    /** Begins again at the newest. */
    showNew: () => void client.resetQueries({ queryKey: options.queryKey, exact: true }),
  };
}

/** Whether an event is of a run of the agent, or of one that is shown. */
function concerns(name: string, known: ReadonlySet<string>, event: LogEvent): boolean {
  if (event.stream_type !== "execution") return false;
  if (event.type === "ExecutionRequested") {
    return event.data.agent === name || event.data.source_agent === name;
  }
  return known.has(executionIdOf(event) ?? "");
}
