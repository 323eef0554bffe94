/** How many matches are kept; a search that finds more says so. */
export const MATCHES_MAX = 5_000;

/** What was found in a log so far. */
export interface LogSearch {
  readonly q: string;
  /** The numbers of the lines that show it, in order. */
  readonly matches: readonly number[];
  /** Up to which line was looked. */
  readonly next: number;
  /** How many lines there were then. */
  readonly total: number;
  /** Which match the reader is at; -1 before the first jump. */
  readonly current: number;
}

/** A search that has not begun. */
export function searchFor(q: string): LogSearch {
  return { q, matches: [], next: 0, total: Number.POSITIVE_INFINITY, current: -1 };
}

/** The search after an answer of the server. */
export function found(
  search: LogSearch,
  answer: { seqs: readonly number[]; next: number; total: number },
): LogSearch {
  const last = search.matches.at(-1) ?? 0;
  const fresh = answer.seqs.filter((seq) => seq > last);
  const matches = [...search.matches, ...fresh].slice(0, MATCHES_MAX);
  // A server that does not get on has looked at all there is.
  const next = answer.next > search.next ? answer.next : answer.total;
  return { ...search, matches, next, total: answer.total };
}

/** Whether there is more to look through. */
export function isComplete({ matches, next, total }: LogSearch): boolean {
  return next >= total || matches.length >= MATCHES_MAX;
}

/** Moves to the next match or the one before; the first jump goes to the nearest after `from`. */
export function jumped(search: LogSearch, by: 1 | -1, from: number): LogSearch {
  const { matches, current } = search;
  if (matches.length === 0) return search;
  if (current >= 0) {
    return { ...search, current: (current + by + matches.length) % matches.length };
  }
  const after = matches.findIndex((seq) => seq >= from);
  const nearest = after === -1 ? (by === 1 ? 0 : matches.length - 1) : after;
  const before = (nearest - 1 + matches.length) % matches.length;
  return { ...search, current: by === 1 || after === -1 ? nearest : before };
}

/** Where the reader is among the matches, such as `3 of 17`. */
export function searchSummary(search: LogSearch): string {
  const { matches, current } = search;
  const hasMore = matches.length >= MATCHES_MAX || !isComplete(search);
  const count = `${matches.length}${hasMore ? "+" : ""}`;
  if (matches.length === 0) return isComplete(search) ? "No line shows it" : "Searching";
  return current < 0 ? `${count} lines` : `${current + 1} of ${count}`;
}
