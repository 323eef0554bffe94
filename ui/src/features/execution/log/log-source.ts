import type { EventSourceMessage } from "eventsource-parser";
import { api, load } from "@/api/client";
import { ApiError } from "@/api/problem";
import { retryDelayMs } from "@/live/connection";
import { readSse } from "@/live/read-sse";
import { type Entry, isFailure } from "./entry";
import { LINES_PER_PAGE, LogLines } from "./log-lines";

/** How many pages are read at once. */
const READS_MAX = 2;

/** How often a log that nobody sees takes in what has come; a frame is never drawn for it. */
const HIDDEN_FLUSH_MS = 1_000;

/** Whose log it is. */
export interface LogPlace {
  readonly agent: string;
  readonly id: string;
  readonly incarnation: string;
}

/** What has come of a log since it was opened. */
export interface LogState {
  /** Another number whenever anything is different. */
  readonly version: number;
  /** Why the log cannot be read; null while it can. */
  readonly error: ApiError | null;
  /** Whether the first answer is there. */
  readonly isLoaded: boolean;
  /** Whether lines come as they are printed. */
  readonly stream: "closed" | "open" | "lost";
  /** How many lines have come by the stream, and how many of them tell of a failure. */
  readonly streamed: { readonly lines: number; readonly failures: number };
}

/**
 * Reads a log: its end first, other parts when they come into view, and what is printed from now on.
 *
 * The stream goes on after the last line known, so that a lost connection leaves no gap and repeats
 * nothing; lines are applied once a frame, however many come.
 */
export class LogSource {
  readonly lines = new LogLines();
  readonly #place: LogPlace;
  readonly #abort = new AbortController();
  readonly #listeners = new Set<() => void>();
  #state: LogState = {
    version: 0,
    error: null,
    isLoaded: false,
    stream: "closed",
    streamed: { lines: 0, failures: 0 },
  };
  #wanted: { first: number; last: number } | null = null;
  #reads = 0;
  /** After which lines was asked and not yet, or in vain: what the server counts it need not have. */
  readonly #asked = new Set<number>();
  #failures = 0;
  #pending: Entry[] = [];
  #flushIsDue = false;
  #hasEnded = false;

  constructor(place: LogPlace) {
    this.#place = place;
  }

  /** What there is to know now; the same object until something is different. */
  readonly state = (): LogState => this.#state;

  /** Tells about every change; gives back how to end that. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Reads the end of the log. */
  async open(): Promise<void> {
    try {
      const { entries, total } = await this.#read({ limit: LINES_PER_PAGE });
      this.lines.grow(total);
      this.lines.insert(entries);
      this.#set({ isLoaded: true, error: null });
      this.#pump();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Follows what is printed, until the run has ended or `signal` says so. */
  async follow(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#abort.signal]);
    let failures = 0;
    while (!stop.aborted && !this.#hasEnded) {
      try {
        await readSse(this.#streamPath(), stop, (messages) => {
          failures = 0;
          this.#hear(messages);
          return !this.#hasEnded;
        });
      } catch (error) {
        // What the server refuses will not be better in a moment.
        if (error instanceof ApiError && error.status >= 400 && !error.isTemporary) break;
      }
      if (stop.aborted || this.#hasEnded) break;
      this.#set({ stream: "lost" });
      await pause(retryDelayMs(failures, Math.random()), stop);
      failures += 1;
    }
    this.#flush();
    this.#set({ stream: "closed" });
  }

  /** Reads whatever is missing of the lines `first..=last`, the last wish first. */
  want(first: number, last: number): void {
    this.#wanted = { first, last };
    this.#pump();
  }

  /** Ends everything. */
  close(): void {
    this.#abort.abort();
    this.#listeners.clear();
  }

  #pump(): void {
    if (!this.#wanted || !this.#state.isLoaded || this.#reads >= READS_MAX) return;
    const { first, last } = this.#wanted;
    const query = this.#nextQuery(first, last);
    if (!query) return;
    this.#asked.add(query.after);
    this.#reads += 1;
    this.#read(query)
      .then(({ entries, total }) => {
        this.lines.grow(total);
        const { length } = this.lines.insert(entries);
        this.lines.forgetFarFrom(first);
        if (length > 0) this.#asked.delete(query.after);
        this.#failures = 0;
        this.#reads -= 1;
        this.#set({ error: null });
        this.#pump();
      })
      .catch(async (error: unknown) => {
        this.#reads -= 1;
        this.#fail(error);
        this.#failures += 1;
        await pause(retryDelayMs(this.#failures - 1, Math.random()), this.#abort.signal);
        this.#asked.delete(query.after);
        this.#pump();
      });
  }

  /** What to ask for next of the lines `first..=last`. */
  #nextQuery(first: number, last: number) {
    let query = this.lines.missing(first, last);
    while (query && this.#asked.has(query.after)) {
      query = this.lines.missing(query.after + query.limit + 1, last);
    }
    return query;
  }

  async #read(query: { after?: number; limit: number }) {
    const { agent: name, id, incarnation } = this.#place;
    const params = { path: { name, id }, query: { ...query, incarnation } };
    const { signal } = this.#abort;
    const call = api.GET("/api/agents/{name}/executions/{id}/log", { params, signal });
    return (await load(call)).value;
  }

  #streamPath(): string {
    const { agent, id, incarnation } = this.#place;
    const after = this.#pending.at(-1)?.seq ?? this.lines.total;
    const query = new URLSearchParams({ after: String(after), incarnation });
    return `/api/agents/${encodeURIComponent(agent)}/executions/${id}/stream?${query}`;
  }

  #hear(messages: readonly EventSourceMessage[]): void {
    for (const { event, data } of messages) {
      const body = JSON.parse(data) as Record<string, unknown>;
      switch (event) {
        case "log":
          this.#pending.push(body as unknown as Entry);
          break;
        case "stream.ready":
          this.#set({ stream: "open" });
          break;
        case "stream.reset":
          this.#pending = [];
          this.#asked.clear();
          this.lines.clear();
          break;
        case "stream.end":
          this.#hasEnded = body.reason === "finished" || body.reason === "not-authenticated";
          break;
      }
    }
    if (this.#pending.length > 0) this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    const flush = () => {
      this.#flushIsDue = false;
      this.#flush();
    };
    if (document.hidden) setTimeout(flush, HIDDEN_FLUSH_MS);
    else requestAnimationFrame(flush);
  }

  #flush(): void {
    if (this.#pending.length === 0 || this.#abort.signal.aborted) return;
    const fresh = this.lines.insert(this.#pending.splice(0));
    this.lines.forgetFarFrom(this.#wanted?.last ?? this.lines.total);
    const { lines, failures } = this.#state.streamed;
    const failed = fresh.filter(isFailure).length;
    this.#set({ streamed: { lines: lines + fresh.length, failures: failures + failed } });
  }

  #fail(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    this.#set({ error: error instanceof ApiError ? error : ApiError.unreachable() });
  }

  #set(change: Partial<LogState>): void {
    if (this.#abort.signal.aborted) return;
    this.#state = { ...this.#state, ...change, version: this.#state.version + 1 };
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Waits so long, or until `signal` says that it is enough. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
