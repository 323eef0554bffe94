import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useEffect, useEffectEvent, useRef } from "react";

/** How often at most what only the server knows is asked for again. */
const REFRESH_EVERY_MS = 1_000;

/**
 * Reads an answer again while it says of itself that only the server knows more: at once the first
 * time, then at most once a second.
 */
export function useStaleRefresh(queryKey: QueryKey, data: unknown, isStale: boolean) {
  const client = useQueryClient();
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const askedAt = useRef(Number.NEGATIVE_INFINITY);
  const ask = useEffectEvent(() => {
    timer.current = null;
    askedAt.current = performance.now();
    void client.invalidateQueries({ queryKey, exact: true });
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: an answer may be stale when it arrives
  useEffect(() => {
    if (!isStale || timer.current !== null) return;
    const waitMs = Math.max(0, askedAt.current + REFRESH_EVERY_MS - performance.now());
    timer.current = setTimeout(() => ask(), waitMs);
  }, [data, isStale]);
  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current);
      timer.current = null;
    },
    [],
  );
}
