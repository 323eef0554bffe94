import type { LogEvent } from "@/live/event";
import { type Execution, executionIdOf, foldExecution, requested } from "./fold";
import { matches } from "./matches";
import type { ExecutionSearch } from "./search";

/** How many new rows wait to be shown; with more the list begins again. */
export const FRESH_ROWS_MAX = 500;

/** A page of the list; the first one also holds what has come about since. */
export interface ExecutionsPage {
  readonly rows: readonly Execution[];
  /** What was requested since, newest first: it may fit the filter now, or later. */
  readonly fresh: readonly Execution[];
  /** Whether an execution that is not known here may fit the filter now. */
  readonly isStale: boolean;
}

/** A page as it was read. */
export function pageOf(rows: readonly Execution[]): ExecutionsPage {
  return { rows, fresh: [], isStale: false };
}

/** Changes a page by events; gives back the same one when they do not concern it. */
export function applyToPage(
  search: ExecutionSearch,
  page: ExecutionsPage,
  events: readonly LogEvent[],
  index: number,
): ExecutionsPage {
  const byId = new Map<string, LogEvent[]>();
  for (const event of events) {
    const id = executionIdOf(event);
    if (id !== null) byId.set(id, [...(byId.get(id) ?? []), event]);
  }
  if (byId.size === 0) return page;
  const rows = shiftQueues(foldAll(page.rows, byId), page.rows, events);
  if (index > 0) return rows === page.rows ? page : { ...page, rows };
  const { fresh, isFull } = grown(page.fresh, events, byId);
  const isStale = page.isStale || isFull || mayHaveEntered(search, page, byId);
  if (rows === page.rows && fresh === page.fresh && isStale === page.isStale) return page;
  return { rows, fresh, isStale };
}

/** The new rows that fit the filter. */
export function newRows(search: ExecutionSearch, page: ExecutionsPage, nowMs: number): Execution[] {
  return page.fresh.filter((row) => matches(search, row, nowMs));
}

/** The first page with its new rows among the others. */
export function merged(
  search: ExecutionSearch,
  page: ExecutionsPage,
  nowMs: number,
): ExecutionsPage {
  const shown = new Set(newRows(search, page, nowMs));
  if (shown.size === 0) return page;
  const fresh = page.fresh.filter((row) => !shown.has(row));
  return { ...page, rows: [...shown, ...page.rows], fresh };
}

function foldAll(
  rows: readonly Execution[],
  byId: ReadonlyMap<string, readonly LogEvent[]>,
): readonly Execution[] {
  let isChanged = false;
  const next = rows.map((row) => {
    const folded = byId.get(row.id)?.reduce(foldExecution, row) ?? row;
    isChanged ||= folded !== row;
    return folded;
  });
  return isChanged ? next : rows;
}

/** Whoever leaves a queue moves up those behind it. */
function shiftQueues(
  rows: readonly Execution[],
  before: readonly Execution[],
  events: readonly LogEvent[],
): readonly Execution[] {
  let shifted = rows;
  for (const event of events) {
    if (event.type !== "SlotAcquired" && event.type !== "ExecutionDequeued") continue;
    const left = before.find(({ id }) => id === event.data.execution_id)?.queue_position ?? 0;
    const isBehind = (row: Execution) =>
      row.incarnation === event.stream_id && (row.queue_position ?? 0) > Math.max(left, 1);
    if (!shifted.some(isBehind)) continue;
    shifted = shifted.map((row) =>
      isBehind(row) ? { ...row, queue_position: (row.queue_position ?? 0) - 1 } : row,
    );
  }
  return shifted;
}

function grown(
  fresh: readonly Execution[],
  events: readonly LogEvent[],
  byId: ReadonlyMap<string, readonly LogEvent[]>,
): { fresh: readonly Execution[]; isFull: boolean } {
  const requests = events.filter(({ type }) => type === "ExecutionRequested").map(requested);
  const all = requests.length === 0 ? fresh : [...requests.reverse(), ...fresh];
  const isFull = all.length > FRESH_ROWS_MAX;
  return { fresh: foldAll(isFull ? all.slice(0, FRESH_ROWS_MAX) : all, byId), isFull };
}

/** With a filter by status, executions enter it that no page has read. */
function mayHaveEntered(
  search: ExecutionSearch,
  page: ExecutionsPage,
  byId: ReadonlyMap<string, readonly LogEvent[]>,
): boolean {
  if (search.status === undefined) return false;
  const entering: Record<string, string> = {
    ExecutionStarted: "running",
    ExecutionCompleted: "completed",
    ExecutionFailed: "failed",
    ExecutionCancelled: "cancelled",
  };
  const wanted = new Set(search.status.split(","));
  const known = new Set([...page.rows, ...page.fresh].map(({ id }) => id));
  return [...byId].some(
    ([id, events]) =>
      !known.has(id) &&
      !events.some(({ type }) => type === "ExecutionRequested") &&
      events.some(({ type }) => wanted.has(entering[type] ?? "")),
  );
}
