import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { type Execution, executionIdOf } from "@/features/executions/fold";
import { applyToPage, pageOf } from "@/features/executions/list-page";
import type { ExecutionSearch } from "@/features/executions/search";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveData, useLiveRefresh } from "@/live/hooks";
import { type EventsPage, eventsQuery, executionQuery } from "./queries";

/** Any execution: what is known of one does not depend on a filter. */
const ANY = {} as ExecutionSearch;

/** How many pages of events are read without being asked: more than tool calls are recorded. */
const PAGES_MAX = 8;

/** One execution, changed in place by what happens to it. */
export function useExecution(id: string) {
  const hub = useLiveHub();
  const options = executionQuery(id, hub.recent.floor);
  const query = useQuery(options);
  useLiveData<Execution>(options.queryKey, query.data, applyToOne);
  // The event of a long response has its beginning alone.
  useLiveRefresh(options.queryKey, query.data, (event) => hasLongResponse(event, id));
  return query;
}

/** The execution after events, its place in the queue included. */
export function applyToOne(execution: Execution, events: readonly LogEvent[]): Execution {
  return applyToPage(ANY, pageOf([execution]), events, 1).rows[0] ?? execution;
}

function hasLongResponse(event: LogEvent, id: string): boolean {
  const outcome = event.data.outcome as { response_ref?: string | null } | undefined;
  return executionIdOf(event) === id && Boolean(outcome?.response_ref);
}

/** What has happened to an execution, of these types or of all; complete, and what happens since. */
export function useExecutionEvents(id: string, types: readonly string[]) {
  const hub = useLiveHub();
  const options = eventsQuery(id, types, hub.recent.floor);
  const query = useInfiniteQuery(options);
  useLiveData<EventsPage>(options.queryKey, query.data, (page, events) =>
    appendEvents(page, events, id, types),
  );
  const { hasNextPage, isFetching, isError, fetchNextPage } = query;
  const pages = query.data?.pages ?? [];
  const wantsMore = hasNextPage && !isFetching && !isError && pages.length < PAGES_MAX;
  useEffect(() => {
    if (wantsMore) void fetchNextPage();
  }, [wantsMore, fetchNextPage]);
  return { query, events: pages.flatMap(({ value }) => value.items) };
}

/** The last page with what has happened since. */
export function appendEvents(
  page: EventsPage,
  events: readonly LogEvent[],
  id: string,
  types: readonly string[],
): EventsPage {
  if (!page.isLast) return page;
  const last = page.items.at(-1)?.position ?? 0;
  const fresh = events.filter(
    (event) =>
      event.stream_type === "execution" &&
      event.stream_id === id &&
      event.position > last &&
      (types.length === 0 || types.includes(event.type)),
  );
  return fresh.length === 0 ? page : { ...page, items: [...page.items, ...fresh] };
}
