import type { InfiniteData } from "@tanstack/react-query";
import type { Loaded } from "@/api/client";
import type { LogEvent } from "@/live/event";
import { type EventFilter, fits } from "./search";

/** A stretch of the log: what fits the filter of everything after `after` and up to `until`. */
export interface EventsPage {
  /** Oldest first. */
  readonly items: readonly LogEvent[];
  readonly after: number;
  readonly until: number;
  /** Whether it reaches to the end of the log, and grows with it. */
  readonly isHead: boolean;
}

/** What the cache holds of a log: stretches without a gap between them, oldest first. */
export type EventPages = InfiniteData<Loaded<EventsPage>>;

/** Adds what has happened to the stretch at the end of the log; every other stays as it is. */
export function applyToEvents(
  filter: EventFilter,
  page: EventsPage,
  events: readonly LogEvent[],
): EventsPage {
  if (!page.isHead) return page;
  const fresh = events.filter((event) => fits(filter, event));
  return fresh.length === 0 ? page : { ...page, items: [...page.items, ...fresh] };
}

/** The same log with the newest `max` events at most; what is let go can be read again. */
export function trimmed(pages: EventPages, max: number): EventPages {
  let excess = pages.pages.reduce((sum, { value }) => sum + value.items.length, 0) - max;
  if (excess <= 0) return pages;
  const kept = pages.pages.flatMap((page, index) => {
    const { items } = page.value;
    const dropped = Math.min(Math.max(excess, 0), items.length);
    excess -= dropped;
    const last = items[dropped - 1];
    if (!last) return [{ page, param: pages.pageParams[index] }];
    if (dropped === items.length) return [];
    const value = { ...page.value, items: items.slice(dropped), after: last.position };
    return [{ page: { ...page, value }, param: pages.pageParams[index] }];
  });
  return { pages: kept.map(({ page }) => page), pageParams: kept.map(({ param }) => param) };
}
