import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/problem";
import { type Frames, readStream } from "./read-stream";

function answer(text: string, pieces = 1): Response {
  const size = Math.ceil(text.length / pieces);
  const bytes = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < text.length; at += size) {
        controller.enqueue(bytes.encode(text.slice(at, at + size)));
      }
      controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

const STREAM = `retry: 3000

event: stream.ready
data: {"position":7,"log_id":"log"}

id: 8
event: execution.started
data: {"position":8,"type":"ExecutionStarted"}

event: heartbeat
data: {"position":8,"at":"2026-11-21T09:00:00.000Z"}

`;

async function read(response: Response) {
  vi.stubGlobal("fetch", () => Promise.resolve(response));
  const frames: Frames[] = [];
  await readStream(7, new AbortController().signal, (more) => frames.push(more) > 0);
  return {
    events: frames.flatMap(({ events }) => events),
    controls: frames.flatMap(({ controls }) => controls),
  };
}

afterEach(() => vi.unstubAllGlobals());

describe("the stream", () => {
  it("is read whole, wherever the network cuts it", async () => {
    for (const pieces of [1, 7, STREAM.length]) {
      const { events, controls } = await read(answer(STREAM, pieces));
      expect(events).toEqual([{ position: 8, type: "ExecutionStarted" }]);
      expect(controls.map(({ type }) => type)).toEqual(["ready", "heartbeat"]);
    }
  });

  it("takes events whose names it was never told", async () => {
    const { events } = await read(answer('event: moon.landed\ndata: {"position":9}\n\n'));
    expect(events).toEqual([{ position: 9 }]);
  });

  it("tells an expired login from a server that is away", async () => {
    const expired = read(new Response("{}", { status: 401 }));
    await expect(expired).rejects.toMatchObject({ status: 401 });
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network")));
    const away = readStream(7, new AbortController().signal, () => true);
    await expect(away).rejects.toEqual(ApiError.unreachable());
  });
});
