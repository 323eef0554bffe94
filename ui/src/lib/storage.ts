import { useCallback, useSyncExternalStore } from "react";

/** What this browser remembers; each value is checked when it is read. */
const PREFIX = "trinity.";

const listeners = new Map<string, Set<() => void>>();

/** A value that this browser remembers, the same wherever on the page it is used. */
export interface Stored<T> {
  readonly key: string;
  /** Makes a value of what was stored; `null` when nothing was, anything when somebody else wrote it. */
  readonly parse: (stored: unknown) => T;
}

const parsed = new Map<string, { text: string | null; value: unknown }>();

/** Reads a remembered value. */
export function readStored<T>({ key, parse }: Stored<T>): T {
  const text = localStorage.getItem(PREFIX + key);
  const known = parsed.get(key);
  if (known && known.text === text) return known.value as T;
  const value = parse(json(text));
  parsed.set(key, { text, value });
  return value;
}

/** Remembers a value. */
export function writeStored<T>({ key }: Stored<T>, value: T) {
  localStorage.setItem(PREFIX + key, JSON.stringify(value));
  for (const listener of listeners.get(key) ?? []) listener();
}

/** A remembered value as state. */
export function useStored<T>(stored: Stored<T>): [T, (value: T) => void] {
  const subscribe = useCallback((listener: () => void) => watch(stored.key, listener), [stored]);
  const value = useSyncExternalStore(subscribe, () => readStored(stored));
  const set = useCallback((next: T) => writeStored(stored, next), [stored]);
  return [value, set];
}

function watch(key: string, listener: () => void) {
  const ofKey = listeners.get(key) ?? new Set();
  listeners.set(key, ofKey.add(listener));
  // Another tab of this browser has written.
  const onStorage = (event: StorageEvent) => event.key === PREFIX + key && listener();
  addEventListener("storage", onStorage);
  return () => {
    ofKey.delete(listener);
    removeEventListener("storage", onStorage);
  };
}

function json(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
