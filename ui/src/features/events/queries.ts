import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, type Loaded, load } from "@/api/client";
import { keys } from "@/api/keys";
import type { LiveHub } from "@/live/hub";
import type { EventsPage } from "./pages";
import { readAfter, readBefore, serverLog } from "./read-log";
import { type EventSearch, filterOf } from "./search";

/** Where a page of the log begins or ends. */
export type PageParam =
  | { readonly side: "end" }
  | { readonly side: "before"; readonly position: number }
  | { readonly side: "after"; readonly position: number };

/** The log as far as it fits a filter: from its end, or after a position, and on in both directions. */
export function eventsQuery(search: EventSearch, hub: LiveHub) {
  const filter = filterOf(search);
  const { after } = search;
  const begin: PageParam =
    after === undefined ? { side: "end" } : { side: "after", position: Number(after) };
  return infiniteQueryOptions({
    queryKey: keys.events.list({ ...filter, after }),
    queryFn: async ({ pageParam, signal }): Promise<Loaded<EventsPage>> => {
      const floor = hub.recent.position;
      const read = serverLog(filter, floor, signal);
      if (pageParam.side === "after") {
        const value = await readAfter(read, pageParam.position, hub.recent);
        // What is past stays as it is, so it holds at whatever position is newest.
        return { value, position: value.isHead ? value.until : hub.recent.position, next: null };
      }
      if (pageParam.side === "before") {
        const value = await readBefore(read, filter, pageParam.position);
        return { value, position: hub.recent.position, next: null };
      }
      const value = await readBefore(read, filter, floor);
      return { value: { ...value, isHead: true }, position: floor, next: null };
    },
    initialPageParam: begin as PageParam,
    getNextPageParam: ({ value }): PageParam | null =>
      value.isHead ? null : { side: "after", position: value.until },
    getPreviousPageParam: ({ value }): PageParam | null =>
      value.after === 0 ? null : { side: "before", position: value.after },
  });
}

/** One event with what led to it and what it led to. */
export function eventQuery(position: number, floor: number) {
  return queryOptions({
    queryKey: keys.events.one(position),
    queryFn: ({ signal }) => {
      const params = { path: { position }, query: { min_position: floor } };
      return load(api.GET("/api/events/{position}", { params, signal }));
    },
  });
}
