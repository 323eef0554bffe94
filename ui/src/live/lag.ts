import { createContext, useContext } from "react";
import type { RecentEvents } from "./recent";

/** How far the server's views are behind its log. */
export interface Lag {
  readonly events: number;
  readonly ms: number;
}

/** Less than this is nothing to tell. */
export const LAG_MS_MIN = 2_000;

/** How far the last answer was behind; null when it was not. */
export const LagContext = createContext<Lag | null>(null);

/** How far the server's views were behind its log in the last answer; null when they were not. */
export function useLag(): Lag | null {
  return useContext(LagContext);
}

/**
 * How far an answer that holds at `position` is behind what was heard already.
 *
 * Both times are the server's, so that a wrong clock here does not matter.
 */
export function lagOf(position: number, recent: RecentEvents): Lag | null {
  const missing = recent.since(position);
  const first = missing?.[0];
  const last = missing?.at(-1);
  if (!missing || !first || !last) return null;
  const ms = Date.parse(last.recorded_at) - Date.parse(first.recorded_at);
  return { events: missing.length, ms };
}
