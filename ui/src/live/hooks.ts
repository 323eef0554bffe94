import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useEffect, useEffectEvent, useRef } from "react";
import type { Loaded } from "@/api/client";
import { type Apply, catchUp, isOutdated, type LiveData } from "./catch-up";
import { useLiveHub } from "./context";
import type { LogEvent } from "./event";

/** How often at most numbers that the server counts are asked for again. */
const REFRESH_EVERY_MS = 1_000;

/**
 * Keeps cached answers current: `apply` changes them in place by the events after the position they
 * were loaded at. `data` is what the query has now; an answer that arrives late is caught up too.
 */
export function useLiveData<T>(queryKey: QueryKey, data: LiveData<T> | undefined, apply: Apply<T>) {
  const hub = useLiveHub();
  const client = useQueryClient();
  const onFlush = useEffectEvent(() => {
    const held = client.getQueryData<LiveData<T>>(queryKey);
    if (!held) return;
    const next = catchUp(held, hub.recent, apply);
    if (next === "gap") void client.resetQueries({ queryKey, exact: true });
    else if (next !== held) client.setQueryData(queryKey, next);
  });
  useEffect(() => hub.listen({ onFlush: () => onFlush() }), [hub]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: whatever arrives is caught up with
  useEffect(() => onFlush(), [data]);
}

/** Hands over the events after those that the tab knows now, once a frame and in order. */
export function useLiveEvents(onEvents: (events: readonly LogEvent[]) => void) {
  const hub = useLiveHub();
  const position = useRef<number | null>(null);
  const onFlush = useEffectEvent(() => {
    const events = hub.recent.since(position.current ?? hub.recent.position);
    position.current = hub.recent.position;
    if (events && events.length > 0) onEvents(events);
  });
  useEffect(() => {
    position.current ??= hub.recent.position;
    return hub.listen({ onFlush: () => onFlush() });
  }, [hub]);
}

/**
 * Reads an answer again when events after its position concern it, at most once a second: for counts
 * and sums that only the server can make.
 */
export function useLiveRefresh(
  queryKey: QueryKey,
  data: Loaded<unknown> | undefined,
  concerns: (event: LogEvent) => boolean,
) {
  const hub = useLiveHub();
  const client = useQueryClient();
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const refresh = useEffectEvent(() => {
    timer.current = null;
    void client.invalidateQueries({ queryKey, exact: true });
  });
  const onFlush = useEffectEvent(() => {
    const held = client.getQueryData<Loaded<unknown>>(queryKey);
    if (!held || timer.current !== null || !isOutdated(held, hub.recent, concerns)) return;
    timer.current = setTimeout(() => refresh(), REFRESH_EVERY_MS);
  });
  useEffect(() => hub.listen({ onFlush: () => onFlush() }), [hub]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: whatever arrives is looked at
  useEffect(() => onFlush(), [data]);
  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current);
      timer.current = null;
    },
    [],
  );
}
