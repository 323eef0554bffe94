import type { InfiniteData } from "@tanstack/react-query";
import type { Loaded } from "@/api/client";
import type { LogEvent } from "./event";
import type { RecentEvents } from "./recent";

/** What a query of one answer, or of a list read page by page, keeps in the cache. */
export type LiveData<T> = Loaded<T> | InfiniteData<Loaded<T>>;

/** Changes a value by events in order; gives back the same value when they do not concern it. */
export type Apply<T> = (value: T, events: readonly LogEvent[], page: number) => T;

/** Up to where answers have been compared with the events; they stay the same objects meanwhile. */
const seen = new WeakMap<object, number>();

/**
 * Brings cached data up to the newest event, each answer from its own position on: so an event counts
 * once, however late an answer arrives.
 *
 * Gives back the same object when nothing concerned it, and `gap` when events in between are unknown.
 */
export function catchUp<T>(
  data: LiveData<T>,
  recent: RecentEvents,
  apply: Apply<T>,
): LiveData<T> | "gap" {
  if (!("pages" in data)) return catchUpOne(data, recent, apply, 0);
  let isChanged = false;
  const pages: Loaded<T>[] = [];
  for (const [index, page] of data.pages.entries()) {
    const next = catchUpOne(page, recent, apply, index);
    if (next === "gap") return "gap";
    isChanged ||= next !== page;
    pages.push(next);
  }
  return isChanged ? { ...data, pages } : data;
}

function catchUpOne<T>(
  loaded: Loaded<T>,
  recent: RecentEvents,
  apply: Apply<T>,
  page: number,
): Loaded<T> | "gap" {
  const events = recent.since(seen.get(loaded) ?? loaded.position);
  if (events === null) return "gap";
  if (events.length === 0) return loaded;
  const value = apply(loaded.value, events, page);
  if (value === loaded.value) {
    seen.set(loaded, recent.position);
    return loaded;
  }
  return { ...loaded, value, position: recent.position };
}

/** Whether events that were not looked at yet concern an answer, or are not known any more. */
export function isOutdated(
  loaded: Loaded<unknown>,
  recent: RecentEvents,
  concerns: (event: LogEvent) => boolean,
): boolean {
  const events = recent.since(seen.get(loaded) ?? loaded.position);
  if (events === null || events.some(concerns)) return true;
  seen.set(loaded, recent.position);
  return false;
}
