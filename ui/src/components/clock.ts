import { useSyncExternalStore } from "react";

const TICK_MS = 1_000;
const HOUR_MS = 3_600_000;

/** How far the server's clock may be from this machine's before it is minded. */
const SKEW_MS_MIN = 2_000;

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | null = null;
let now = Date.now();
let skewMs = 0;

function tick() {
  now = Date.now();
  for (const listener of listeners) listener();
}

function run() {
  const isWanted = listeners.size > 0 && !document.hidden;
  if (isWanted && timer === null) {
    // The one interval of the interface: durations and ages of the whole page pass by it.
    timer = setInterval(tick, TICK_MS);
    tick();
  } else if (!isWanted && timer !== null) {
    clearInterval(timer);
    timer = null;
  }
}

document.addEventListener("visibilitychange", run);

function subscribe(listener: () => void) {
  listeners.add(listener);
  run();
  return () => {
    listeners.delete(listener);
    run();
  };
}

/** The time of this machine in milliseconds, a new one every second while `isTicking`. */
export function useNow(isTicking = true): number {
  return useSyncExternalStore(isTicking ? subscribe : never, () => now);
}

/** The time of the server in milliseconds: what durations of its events are measured with. */
export function useServerNow(isTicking = true): number {
  return useNow(isTicking) + skewMs;
}

/** The hour that it is at the server, in hours since 1970: a new one once an hour. */
export function useServerHour(): number {
  return useSyncExternalStore(subscribe, () => Math.floor((now + skewMs) / HOUR_MS));
}

/** Learns from the server what time it is there. */
export function noteServerTime(server: string) {
  const difference = Date.parse(server) - Date.now();
  if (Number.isFinite(difference)) skewMs = Math.abs(difference) < SKEW_MS_MIN ? 0 : difference;
}

function never() {
  return () => {};
}
