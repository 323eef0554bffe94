import type { Entry } from "./entry";

/** How many lines are asked for at once. */
export const LINES_PER_PAGE = 1_000;

/** How many lines are kept; what is farthest from the view goes first and is read again when wanted. */
export const LINES_KEPT_MAX = 20_000;

/** What lines can be like. */
export const SHAPE = { unknown: 0, text: 1, call: 2, folded: 3 } as const;

/** The answer of a tool, with the line it stands in. */
export interface ToolAnswer {
  readonly seq: number;
  readonly at: string;
  readonly isError: boolean;
  readonly content: string;
}

/**
 * The lines of a log as far as they were read: any parts of `1..=total`, in any order.
 *
 * Numbers are those of the supervisor, so that nothing is there twice however often it comes.
 */
export class LogLines {
  readonly #lines = new Map<number, Entry>();
  readonly #answers = new Map<string, ToolAnswer>();
  readonly #calls = new Map<string, number>();
  /** Of each line its shape; those of all lines are asked for at once, however many there are. */
  #shapes = new Uint8Array(LINES_PER_PAGE);
  #total = 0;

  /** How many lines there are, whether they were read or not. */
  get total(): number {
    return this.#total;
  }

  /** How many lines are kept. */
  get size(): number {
    return this.#lines.size;
  }

  /** The line of a number, if it was read. */
  get(seq: number): Entry | undefined {
    return this.#lines.get(seq);
  }

  /** The answer to a tool call, if it was read. */
  answer(callId: string): ToolAnswer | undefined {
    return this.#answers.get(callId);
  }

  /** Whether the call of an answer is kept, so that the answer is shown there. */
  hasCall(callId: string): boolean {
    return this.#calls.has(callId);
  }

  /** Whether a line has nothing of its own to show: all of it is shown with the calls it answers. */
  isFolded({ blocks, raw, dropped }: Entry): boolean {
    return (
      !raw &&
      !dropped &&
      blocks.length > 0 &&
      blocks.every((block) => block.type === "tool_result" && this.hasCall(block.tool_use_id))
    );
  }

  /** The shape of a line as far as it is known: what decides how high it is. */
  shape(seq: number): number {
    return this.#shapes[seq] ?? SHAPE.unknown;
  }

  /** Learns how many lines there are by now. */
  grow(total: number): void {
    this.#total = Math.max(this.#total, total);
  }

  /** Takes lines in; gives back those that were not known. */
  insert(entries: readonly Entry[]): readonly Entry[] {
    const fresh = entries.filter(({ seq }) => !this.#lines.has(seq));
    for (const entry of fresh) {
      this.#lines.set(entry.seq, entry);
      this.grow(entry.seq);
      for (const block of entry.blocks) {
        if (block.type === "tool_use") this.#calls.set(block.id, entry.seq);
        if (block.type === "tool_result") {
          const { tool_use_id, is_error: isError, content } = block;
          this.#answers.set(tool_use_id, { seq: entry.seq, at: entry.at, isError, content });
        }
      }
    }
    for (const entry of fresh) this.#noteShape(entry);
    return fresh;
  }

  /**
   * What to ask for so that the lines `first..=last` are there: after which line, and how many.
   *
   * The first gap is filled up to the end of the page that it lies in; null when there is none.
   */
  missing(first: number, last: number): { after: number; limit: number } | null {
    const end = Math.min(last, this.#total);
    for (let seq = Math.max(first, 1); seq <= end; seq += 1) {
      if (this.#lines.has(seq)) continue;
      const pageEnd = Math.ceil(seq / LINES_PER_PAGE) * LINES_PER_PAGE;
      const pageFirst = pageEnd - LINES_PER_PAGE + 1;
      let from = seq;
      while (from > pageFirst && !this.#lines.has(from - 1)) from -= 1;
      let to = seq;
      while (to < Math.min(pageEnd, this.#total) && !this.#lines.has(to + 1)) to += 1;
      return { after: from - 1, limit: to - from + 1 };
    }
    return null;
  }

  /** Lets go of the lines farthest from `seq` when there are too many. */
  forgetFarFrom(seq: number): void {
    if (this.#lines.size <= LINES_KEPT_MAX) return;
    for (const far of this.#lines.keys()) {
      if (Math.abs(far - seq) > LINES_KEPT_MAX / 2) this.#forget(far);
    }
  }

  /** Forgets everything, as when the log turned out to be another one. */
  clear(): void {
    this.#lines.clear();
    this.#answers.clear();
    this.#calls.clear();
    this.#shapes.fill(SHAPE.unknown);
    this.#total = 0;
  }

  #noteShape(entry: Entry): void {
    if (entry.seq >= this.#shapes.length) {
      const longer = new Uint8Array(Math.max(entry.seq + 1, this.#shapes.length * 2));
      longer.set(this.#shapes);
      this.#shapes = longer;
    }
    const isCall = entry.blocks[0]?.type === "tool_use";
    this.#shapes[entry.seq] = this.isFolded(entry)
      ? SHAPE.folded
      : isCall
        ? SHAPE.call
        : SHAPE.text;
  }

  #forget(seq: number): void {
    for (const block of this.#lines.get(seq)?.blocks ?? []) {
      if (block.type === "tool_use") this.#calls.delete(block.id);
      if (block.type === "tool_result") this.#answers.delete(block.tool_use_id);
    }
    this.#lines.delete(seq);
  }
}
