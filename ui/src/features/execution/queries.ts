import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, load, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import type { Execution } from "@/features/executions/fold";
import type { LogEvent } from "@/live/event";

/** How many events are read at once; the server gives no more. */
const EVENTS_PER_PAGE = 1_000;

/** How many executions beside one are looked at: some may have begun in the same millisecond. */
const BESIDE_MAX = 5;

/** One execution, with its whole response. */
export function executionQuery(id: string, floor: number) {
  return queryOptions({
    queryKey: keys.executions.one(id),
    queryFn: ({ signal }) =>
      load(
        api.GET("/api/executions/{id}", {
          params: { path: { id }, query: { min_position: floor } },
          signal,
        }),
      ),
  });
}

/** A part of what has happened to an execution, oldest first. */
export interface EventsPage {
  readonly items: readonly LogEvent[];
  /** How far the server has looked: where the next page begins. */
  readonly until: number;
  /** Whether nothing followed when it was read: what happens since belongs to this page. */
  readonly isLast: boolean;
}

/** What has happened to an execution, of these types or of all; page by page from the beginning. */
export function eventsQuery(id: string, types: readonly string[], floor: number) {
  const type = types.join(",");
  return infiniteQueryOptions({
    queryKey: keys.executions.events(id, type),
    queryFn: async ({ pageParam, signal }) => {
      const query = {
        stream: `execution:${id}`,
        type: type || undefined,
        after: pageParam,
        limit: EVENTS_PER_PAGE,
        min_position: floor,
      };
      const page = await load(api.GET("/api/events", { params: { query }, signal }));
      // Of the formats, JSON is what is asked for.
      const { items, position, is_end } = page.value as Schemas["Events"];
      const value: EventsPage = {
        items: items as unknown as readonly LogEvent[],
        until: position,
        isLast: is_end,
      };
      // The answer tells how far the stream was read; what it does not tell came after `floor`.
      return { ...page, value, position: Math.max(page.position, floor) };
    },
    initialPageParam: 0,
    getNextPageParam: ({ value }) => (value.isLast ? null : value.until),
  });
}

/** The runs of the same agent right before and right after one. */
export function besideQuery({ id, agent_name, created_at }: Execution, floor: number) {
  const agent = agent_name;
  const read = async (query: { from?: string; to?: string; sort: "created_at" | "-created_at" }) =>
    (
      await load(
        api.GET("/api/executions", {
          params: { query: { ...query, agent, limit: BESIDE_MAX, min_position: floor } },
        }),
      )
    ).value.find((row) => row.id !== id) ?? null;
  return queryOptions({
    queryKey: keys.executions.beside(id),
    queryFn: async () => {
      const [previous, next] = await Promise.all([
        read({ to: created_at, sort: "-created_at" }),
        read({ from: created_at, sort: "created_at" }),
      ]);
      return { previous, next };
    },
  });
}

/** The last executions of an agent, to compare one with. */
export function othersQuery(agent: string, floor: number) {
  return queryOptions({
    queryKey: keys.executions.list({ agent, of: "others" }),
    queryFn: ({ signal }) =>
      load(
        api.GET("/api/executions", {
          params: { query: { agent, limit: 50, min_position: floor } },
          signal,
        }),
      ),
  });
}
