import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { event } from "@/test/events";
import { TestLocks } from "@/test/locks";
import type { LogEvent } from "./event";
import { LiveHub } from "./hub";

/** The server's end of the streams that were opened. */
class Streams {
  readonly opened: { after: string | null; send: (text: string) => void; isOpen: boolean }[] = [];

  fetch = (url: string, { signal }: RequestInit): Promise<Response> => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const after = new URL(url, "http://server").searchParams.get("after");
        const bytes = new TextEncoder();
        const stream = {
          after,
          isOpen: true,
          send: (text: string) => controller.enqueue(bytes.encode(text)),
        };
        this.opened.push(stream);
        signal?.addEventListener("abort", () => {
          stream.isOpen = false;
          controller.error(new DOMException("aborted", "AbortError"));
        });
        stream.send(`event: stream.ready\ndata: {"position":${after},"log_id":"log"}\n\n`);
      },
    });
    return Promise.resolve(new Response(body));
  };

  get open() {
    return this.opened.filter(({ isOpen }) => isOpen);
  }

  record(recorded: LogEvent) {
    for (const { send } of this.open) send(`event: any\ndata: ${JSON.stringify(recorded)}\n\n`);
  }
}

const hubs: LiveHub[] = [];
let streams: Streams;

function tab(position: number): LiveHub {
  const hub = new LiveHub(position);
  hubs.push(hub);
  return hub;
}

const positions = (hub: LiveHub) => hub.recent.since(hub.recent.floor)?.map((e) => e.position);

beforeEach(() => {
  streams = new Streams();
  vi.stubGlobal("fetch", streams.fetch);
  vi.stubGlobal("navigator", { locks: new TestLocks() });
});

afterEach(() => {
  for (const hub of hubs.splice(0)) hub.close();
  vi.unstubAllGlobals();
});

describe("the tabs of a browser", () => {
  it("share one stream, also when they are opened at the same moment", async () => {
    const [first, second] = [tab(5), tab(5)];
    await vi.waitFor(() => expect(second.connection.phase).toBe("open"));
    streams.record(event(6, "Something"));
    await vi.waitFor(() => expect(positions(second)).toEqual([6]));
    expect(positions(first)).toEqual([6]);
    expect(streams.opened).toHaveLength(1);
  });

  it("tell a later one what it has missed since its page was loaded", async () => {
    const first = tab(5);
    await vi.waitFor(() => expect(first.connection.phase).toBe("open"));
    streams.record(event(6, "Something"));
    streams.record(event(7, "Something"));
    await vi.waitFor(() => expect(positions(first)).toEqual([6, 7]));
    const later = tab(6);
    await vi.waitFor(() => expect(positions(later)).toEqual([7]));
    expect(later.connection.phase).toBe("open");
  });

  it("go on with the stream where it was when the leading one is closed", async () => {
    const first = tab(5);
    await vi.waitFor(() => expect(first.connection.phase).toBe("open"));
    const heir = tab(5);
    streams.record(event(6, "Something"));
    await vi.waitFor(() => expect(positions(heir)).toEqual([6]));
    first.close();
    await vi.waitFor(() => expect(streams.opened.at(-1)?.after).toBe("6"));
    streams.record(event(7, "Something"));
    await vi.waitFor(() => expect(positions(heir)).toEqual([6, 7]));
    expect(streams.open).toHaveLength(1);
  });

  it("have a stream each where the browser lends no locks", async () => {
    vi.stubGlobal("navigator", {});
    const [first, second] = [tab(5), tab(5)];
    await vi.waitFor(() => expect(streams.open).toHaveLength(2));
    streams.record(event(6, "Something"));
    await vi.waitFor(() => expect(positions(second)).toEqual([6]));
    expect(positions(first)).toEqual([6]);
  });

  it("begin again after a reset, all of them", async () => {
    const [first, second] = [tab(5), tab(5)];
    await vi.waitFor(() => expect(second.connection.phase).toBe("open"));
    const resets: string[] = [];
    first.listen({ onReset: () => resets.push("first") });
    second.listen({ onReset: () => resets.push("second") });
    streams.open[0]?.send('event: stream.reset\ndata: {"position":3}\n\n');
    await vi.waitFor(() => expect(resets.sort()).toEqual(["first", "second"]));
    expect([first.recent.position, second.recent.floor]).toEqual([3, 3]);
  });
});
