import { type Connection, type ConnectionChange, changed, NOT_CONNECTED } from "./connection";
import type { LogEvent } from "./event";
import { RecentEvents } from "./recent";
import { StreamKeeper, type StreamSink } from "./stream-keeper";

/** The lock that the leading tab holds, and the channel on which it tells the others. */
const NAME = "trinity.live";

/** How often at most tabs are told that the stream is still heard. */
const HEARD_EVERY_MS = 1_000;

/** How often a tab that nobody sees applies what it was told; a frame is never drawn for it. */
const HIDDEN_FLUSH_MS = 1_000;

type Message =
  | { kind: "leading"; position: number }
  | { kind: "hello"; tab: string; position: number }
  | {
      kind: "welcome";
      tab: string;
      from: number;
      position: number;
      events: readonly LogEvent[];
      connection: Connection;
    }
  | { kind: "events"; events: readonly LogEvent[] }
  | { kind: "position"; position: number }
  | { kind: "connection"; connection: Connection }
  | { kind: "reset"; position: number }
  | { kind: "server-time"; at: string }
  | { kind: "signed-out" }
  | { kind: "retry" };

/** What a hub tells its tab. */
export interface HubListener {
  /** There are new events; called on the animation frame. */
  onFlush?(): void;
  /** Everything that was loaded must be loaded again. */
  onReset?(): void;
  /** The connection is another one. */
  onConnection?(connection: Connection): void;
  /** What the server's clock says. */
  onServerTime?(at: string): void;
  /** The login is not valid any more. */
  onSignedOut?(): void;
}

/**
 * The live events of one tab.
 *
 * One tab of the browser leads: it holds a lock and the stream, and passes everything on. When it is
 * closed the lock goes to another tab, which continues the stream after the last event it heard.
 */
export class LiveHub {
  readonly recent: RecentEvents;
  readonly #tab = crypto.getRandomValues(new Uint32Array(4)).join("-");
  /** Browsers lend locks to pages over TLS or from this machine; elsewhere every tab is alone. */
  readonly #locks = navigator.locks as LockManager | undefined;
  readonly #channel = this.#locks ? new BroadcastChannel(NAME) : null;
  readonly #listeners = new Set<HubListener>();
  readonly #abort = new AbortController();
  #connection: Connection = NOT_CONNECTED;
  #keeper: StreamKeeper | null = null;
  /** Whether what other tabs say continues what this one knows. */
  #isInStep = false;
  #flushIsDue = false;

  /** Begins after `position`: whatever this tab loads holds there or later. */
  constructor(position: number) {
    this.recent = new RecentEvents(position);
    this.#channel?.addEventListener("message", ({ data }: MessageEvent<Message>) =>
      this.#hear(data),
    );
    void this.#waitForLock();
    this.#hello();
  }

  /** How the stream is now. */
  get connection(): Connection {
    return this.#connection;
  }

  /** Tells `listener` from now on; gives back how to end that. */
  listen(listener: HubListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tries to connect now, instead of when it is time to. */
  retryNow(): void {
    if (this.#keeper) this.#keeper.retryNow();
    else this.#tell({ kind: "retry" });
  }

  /** Lets go of the stream and the lock. */
  close(): void {
    this.#abort.abort();
    this.#keeper?.stop();
    this.#channel?.close();
    this.#listeners.clear();
  }

  async #waitForLock(): Promise<void> {
    const { signal } = this.#abort;
    if (!this.#locks) return this.#lead(signal);
    await this.#locks
      .request(NAME, { signal }, () => this.#lead(signal))
      .catch(() => {
        // Closed while it waited for the lock.
      });
  }

  /** Keeps the stream; ends when the tab lets go of it. */
  async #lead(signal: AbortSignal): Promise<void> {
    // The lock may have come at the moment of the close.
    if (signal.aborted) return;
    this.#isInStep = true;
    const { position } = this.recent;
    this.#keeper = new StreamKeeper(this.#sink(), position);
    this.#tell({ kind: "leading", position });
    await this.#keeper.run();
    // The login has ended: the lock stays here until the tab is closed or logs in again.
    if (signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  }

  #sink(): StreamSink {
    const pass = (message: Message) => {
      if (this.#abort.signal.aborted) return;
      this.#apply(message);
      this.#tell(message);
    };
    return {
      onEvents: (events) => pass({ kind: "events", events }),
      onPosition: (position) => pass({ kind: "position", position }),
      onReset: (position) => pass({ kind: "reset", position }),
      onServerTime: (at) => pass({ kind: "server-time", at }),
      onSignedOut: () => pass({ kind: "signed-out" }),
      onConnection: (change) => {
        const next = changed(this.#connection, change);
        if (!this.#isNoNews(change)) pass({ kind: "connection", connection: next });
      },
    };
  }

  #isNoNews(change: ConnectionChange): boolean {
    const { phase, heardAt } = this.#connection;
    return (
      change.type === "heard" && phase === "open" && change.at - (heardAt ?? 0) < HEARD_EVERY_MS
    );
  }

  #tell(message: Message): void {
    if (!this.#abort.signal.aborted) this.#channel?.postMessage(message);
  }

  /** Another tab says something. */
  #hear(message: Message): void {
    switch (message.kind) {
      case "leading":
        // Whoever is not in step yet, or has missed the last words of the tab before, asks.
        if (this.#isInStep && this.recent.position >= message.position) break;
        this.#isInStep = false;
        this.#hello();
        break;
      case "hello":
        if (this.#keeper) this.#welcome(message.tab, message.position);
        break;
      case "welcome":
        if (message.tab !== this.#tab || this.#isInStep) break;
        this.#isInStep = true;
        this.recent.adopt(message.from, message.position, message.events);
        this.#apply({ kind: "connection", connection: message.connection });
        this.#flushSoon();
        break;
      case "retry":
        this.#keeper?.retryNow();
        break;
      default:
        // What is said before the welcome is part of it.
        if (this.#isInStep) this.#apply(message);
    }
  }

  #hello(): void {
    this.#tell({ kind: "hello", tab: this.#tab, position: this.recent.position });
  }

  #welcome(tab: string, position: number): void {
    const from = Math.max(this.recent.floor, position);
    this.#tell({
      kind: "welcome",
      tab,
      from,
      position: this.recent.position,
      events: this.recent.since(from) ?? [],
      connection: this.#connection,
    });
  }

  #apply(message: Message): void {
    switch (message.kind) {
      case "events":
        if (this.recent.push(message.events)) this.#flushSoon();
        break;
      case "position":
        this.recent.advance(message.position);
        break;
      case "reset":
        this.recent.restart(message.position);
        this.#each((listener) => listener.onReset?.());
        break;
      case "connection":
        this.#connection = message.connection;
        this.#each((listener) => listener.onConnection?.(message.connection));
        break;
      case "server-time":
        this.#each((listener) => listener.onServerTime?.(message.at));
        break;
      case "signed-out":
        this.#each((listener) => listener.onSignedOut?.());
        break;
    }
  }

  #each(tell: (listener: HubListener) => void): void {
    for (const listener of [...this.#listeners]) tell(listener);
  }

  /** However many events come, pages are changed once a frame. */
  #flushSoon(): void {
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    const flush = () => {
      this.#flushIsDue = false;
      this.#each((listener) => listener.onFlush?.());
    };
    if (document.hidden) setTimeout(flush, HIDDEN_FLUSH_MS);
    else requestAnimationFrame(flush);
  }
}
