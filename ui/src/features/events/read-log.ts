import { api, load, type Schemas } from "@/api/client";
import type { LogEvent } from "@/live/event";
import type { RecentEvents } from "@/live/recent";
import type { EventsPage } from "./pages";
import { type EventFilter, hasFilter } from "./search";

/** How many events a page is meant to have. */
export const PAGE_EVENTS = 200;

/** The most that the server answers with at once. */
const READ_EVENTS_MAX = 1_000;

/** Over how many positions at once is looked back where few events fit. */
const SPAN_POSITIONS_MAX = 20_000;

/** How many stretches are looked through for one page: further only when asked to. */
const SPANS_MAX = 6;

/** A piece of the log: `position` is how far the server has looked, `is_end` whether that is its end. */
interface Piece {
  readonly items: readonly LogEvent[];
  readonly position: number;
  readonly is_end: boolean;
}

/** Reads a piece of the log. */
export type ReadLog = (after: number, limit: number) => Promise<Piece>;

/** Reads pieces of the log as the server filters them. */
export function serverLog(filter: EventFilter, floor: number, signal: AbortSignal): ReadLog {
  return async (after, limit) => {
    const query = { ...filter, after, limit, min_position: floor };
    const answer = await load(api.GET("/api/events", { params: { query }, signal }));
    // The other forms of the answer come with other values of `format`.
    return answer.value as Schemas["Events"] as Awaited<ReturnType<ReadLog>>;
  };
}

/**
 * Reads what is before `until`, that position included: the API reads forwards only, so stretches are
 * read that end there, each further back and longer than the one before until enough is found.
 */
export async function readBefore(
  read: ReadLog,
  filter: EventFilter,
  until: number,
): Promise<EventsPage> {
  let items: LogEvent[] = [];
  let after = until;
  let span = hasFilter(filter) ? SPAN_POSITIONS_MAX / 8 : PAGE_EVENTS;
  for (let spans = 0; spans < SPANS_MAX && after > 0 && items.length < PAGE_EVENTS; spans += 1) {
    const end = after;
    after = Math.max(0, end - span);
    items = [...(await readStretch(read, after, end)), ...items];
    span = Math.min(span * 2, SPAN_POSITIONS_MAX);
  }
  return { items, after, until, isHead: false };
}

/** Reads everything after one position and up to another. */
async function readStretch(read: ReadLog, after: number, until: number): Promise<LogEvent[]> {
  const found: LogEvent[] = [];
  let position = after;
  while (position < until) {
    const piece = await read(position, Math.min(READ_EVENTS_MAX, until - position));
    found.push(...piece.items.filter((event) => event.position <= until));
    if (piece.is_end || piece.position <= position) break;
    position = piece.position;
  }
  return found;
}

/** Reads what is after a position; from the floor of `recent` on, the live stream tells the rest. */
export async function readAfter(
  read: ReadLog,
  after: number,
  recent: Pick<RecentEvents, "floor" | "position">,
): Promise<EventsPage> {
  const heard = recent.position;
  let piece = await read(after, PAGE_EVENTS);
  // The server stops looking after a while, whether it has found something or not.
  for (let spans = 1; spans < SPANS_MAX && !piece.is_end && piece.items.length === 0; spans += 1) {
    piece = await read(piece.position, PAGE_EVENTS);
  }
  // The end of a stream can be long ago; the server said so when it knew all that was heard of here.
  const until = Math.max(piece.position, after, piece.is_end ? heard : 0);
  return { items: piece.items, after, until, isHead: piece.is_end || until >= recent.floor };
}
