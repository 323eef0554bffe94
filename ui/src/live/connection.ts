/** How the stream is; the same in every tab of the browser. */
export interface Connection {
  readonly phase: "connecting" | "open" | "waiting";
  /** When the stream was last heard, in milliseconds of this machine's clock. */
  readonly heardAt: number | null;
  /** Since when there is no stream; null while there is one. */
  readonly lostAt: number | null;
  /** When the next attempt is made, while it waits for that. */
  readonly retryAt: number | null;
  /** How many attempts in a row have failed. */
  readonly failures: number;
}

/** What happens to a connection. */
export type ConnectionChange =
  | { readonly type: "connecting" }
  | { readonly type: "heard"; readonly at: number }
  | { readonly type: "lost"; readonly at: number; readonly retryAt: number };

/** A connection that nobody has tried to make yet. */
export const NOT_CONNECTED: Connection = {
  phase: "connecting",
  heardAt: null,
  lostAt: null,
  retryAt: null,
  failures: 0,
};

/** How long a lost stream is left uncommented: most come back at once. */
export const PAUSED_AFTER_MS = 3_000;

const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 10_000;

/** The connection after a change. */
export function changed(connection: Connection, change: ConnectionChange): Connection {
  switch (change.type) {
    case "connecting":
      return { ...connection, phase: "connecting", retryAt: null };
    case "heard":
      return { phase: "open", heardAt: change.at, lostAt: null, retryAt: null, failures: 0 };
    case "lost":
      return {
        phase: "waiting",
        heardAt: connection.heardAt,
        lostAt: connection.lostAt ?? change.at,
        retryAt: change.retryAt,
        failures: connection.failures + 1,
      };
  }
}

/**
 * How long to wait before the next attempt, in milliseconds: twice as long each time, within bounds.
 *
 * `chance` (0 to 1) spreads the browsers, which all lose a server at the same moment.
 */
export function retryDelayMs(failures: number, chance: number): number {
  const delay = Math.min(RETRY_MS_MAX, RETRY_FIRST_MS * 2 ** Math.min(failures, 16));
  return Math.round(delay * (0.5 + chance / 2));
}

/** Whether the page says that it is not live any more. */
export function isPaused(connection: Connection, now: number): boolean {
  return connection.lostAt !== null && now - connection.lostAt >= PAUSED_AFTER_MS;
}
