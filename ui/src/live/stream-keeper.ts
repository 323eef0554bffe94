import { ApiError } from "@/api/problem";
import { type ConnectionChange, retryDelayMs } from "./connection";
import type { LogEvent } from "./event";
import { type Control, type Frames, readStream } from "./read-stream";

/** Who is told what the stream brings. */
export interface StreamSink {
  /** Events in order, each once. */
  onEvents(events: readonly LogEvent[]): void;
  /** The stream has got to this position. */
  onPosition(position: number): void;
  /** The stream is there, lost, or tried again. */
  onConnection(change: ConnectionChange): void;
  /** What was seen is no beginning of what comes; the log goes on after `position`. */
  onReset(position: number): void;
  /** The server's clock, when it says it. */
  onServerTime(at: string): void;
  /** The login is not valid any more. */
  onSignedOut(): void;
}

/** Keeps one stream open, whatever happens to the server and the network. */
export class StreamKeeper {
  readonly #sink: StreamSink;
  readonly #abort = new AbortController();
  /** Where to go on; null is from now on. */
  #position: number | null;
  #logId: string | null = null;
  #failures = 0;
  #wake: (() => void) | null = null;
  #isReset = false;

  constructor(sink: StreamSink, position: number) {
    this.#sink = sink;
    this.#position = position;
  }

  /** Reads until `stop`, or until the login has ended. */
  async run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      this.#sink.onConnection({ type: "connecting" });
      const error = await this.#readOnce();
      if (this.#abort.signal.aborted) return;
      if (error?.status === 401) {
        this.#sink.onSignedOut();
        return;
      }
      await this.#pause();
    }
  }

  /** Ends the pause between two attempts. */
  retryNow(): void {
    this.#wake?.();
  }

  /** Closes the stream for good. */
  stop(): void {
    this.#abort.abort();
    this.#wake?.();
  }

  async #readOnce(): Promise<ApiError | null> {
    try {
      await readStream(this.#position, this.#abort.signal, (frames) => this.#take(frames));
      return null;
    } catch (error) {
      return error instanceof ApiError ? error : ApiError.unreachable();
    }
  }

  /** Gives back whether to read on. */
  #take({ events, controls }: Frames): boolean {
    this.#failures = 0;
    this.#sink.onConnection({ type: "heard", at: Date.now() });
    for (const control of controls) this.#control(control);
    if (this.#isReset) return false;
    const last = events.at(-1);
    if (last) {
      this.#position = last.position;
      this.#sink.onEvents(events);
    }
    return true;
  }

  #control(control: Control): void {
    switch (control.type) {
      case "ready":
        this.#ready(control.position, control.logId);
        break;
      case "heartbeat":
        this.#sink.onPosition(control.position);
        this.#sink.onServerTime(control.at);
        break;
      case "reset":
        if (control.position === null) this.#reset();
        else this.#goOnAfter(control.position);
        break;
      case "end":
        if (control.reason === "not-authenticated") this.#sink.onSignedOut();
        break;
    }
  }

  #ready(position: number, logId: string): void {
    const isOtherLog = this.#logId !== null && this.#logId !== logId;
    this.#logId = logId;
    if (this.#isReset) {
      this.#isReset = false;
      this.#goOnAfter(position);
    } else if (isOtherLog) {
      this.#reset();
    }
  }

  /** The next stream begins at the end of the log, and pages are loaded again from there. */
  #reset(): void {
    this.#isReset = true;
    this.#position = null;
  }

  #goOnAfter(position: number): void {
    this.#position = position;
    this.#sink.onReset(position);
  }

  async #pause(): Promise<void> {
    const delayMs = this.#isReset ? 0 : retryDelayMs(this.#failures, Math.random());
    this.#failures += 1;
    const now = Date.now();
    this.#sink.onConnection({ type: "lost", at: now, retryAt: now + delayMs });
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, delayMs);
    });
    this.#wake = null;
  }
}
