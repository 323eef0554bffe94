const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Writes a duration with its two largest units, such as `850 ms`, `4.2 s`, `4m 12s`, `3h 05m`. */
export function formatDuration(ms: number): string {
  if (ms < SECOND_MS) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10 * SECOND_MS) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS) return pair(ms, MINUTE_MS, "m", SECOND_MS, "s");
  if (ms < DAY_MS) return pair(ms, HOUR_MS, "h", MINUTE_MS, "m");
  return pair(ms, DAY_MS, "d", HOUR_MS, "h");
}

/** Writes the duration of something that still runs: whole seconds, so that no digit flickers. */
export function formatRunning(ms: number): string {
  return ms < MINUTE_MS ? `${Math.max(0, Math.floor(ms / SECOND_MS))} s` : formatDuration(ms);
}

function pair(ms: number, large: number, largeUnit: string, small: number, smallUnit: string) {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)}${largeUnit} ${String(rest).padStart(2, "0")}${smallUnit}`;
}

const CENTS = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** Writes dollars: cents, or more digits where cents would hide the difference. */
export function formatCost(dollars: number): string {
  const isSmall = dollars !== 0 && Math.abs(dollars) < 0.1;
  return `$${isSmall ? dollars.toFixed(4) : CENTS.format(dollars)}`;
}

const COUNT = new Intl.NumberFormat("en", { useGrouping: true });
const SHORT_COUNT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** Writes a count with its thousands apart. */
export function formatCount(count: number): string {
  return COUNT.format(count);
}

/** Writes a large count in a few characters, such as `182K`. */
export function formatShortCount(count: number): string {
  return SHORT_COUNT.format(count);
}

/** Writes how long ago something was, such as `just now`, `3 min ago`, `2 d ago`. */
export function formatAge(ms: number): string {
  if (ms < MINUTE_MS) return "just now";
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min ago`;
  if (ms < DAY_MS) return `${Math.floor(ms / HOUR_MS)} h ago`;
  return `${Math.floor(ms / DAY_MS)} d ago`;
}

/** Writes an amount of data in decimal units, such as `3.1 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} kB`;
  if (bytes < 1_000_000_000) return `${(bytes / 1_000_000).toFixed(1)} MB`;
  return `${(bytes / 1_000_000_000).toFixed(1)} GB`;
}
