import { createParser, type EventSourceMessage } from "eventsource-parser";
import { ApiError } from "@/api/problem";
import type { LogEvent } from "./event";

/** What the stream says, beside events. */
export type Control =
  | { readonly type: "ready"; readonly position: number; readonly logId: string }
  | { readonly type: "heartbeat"; readonly position: number; readonly at: string }
  | { readonly type: "reset"; readonly position: number | null }
  | { readonly type: "end"; readonly reason: string };

/** What came in one piece. */
export interface Frames {
  readonly events: readonly LogEvent[];
  readonly controls: readonly Control[];
}

/** The stream is silent for three heartbeats: it is gone, whatever the network says. */
const SILENCE_MS_MAX = 45_000;

/**
 * Reads the stream of the log after `position` (from now on without one) until it ends, or until
 * `onFrames` says by `false` that this is enough.
 *
 * `fetch` instead of `EventSource`: it tells an expired login from a server that is away, and hears
 * events whose names it was not told before.
 *
 * @throws ApiError when the server refuses, or cannot be reached.
 */
export async function readStream(
  position: number | null,
  signal: AbortSignal,
  onFrames: (frames: Frames) => boolean,
): Promise<void> {
  const silence = new AbortController();
  let watch = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
  const query = position === null ? "" : `?after=${position}`;
  try {
    const response = await fetch(`/api/stream${query}`, {
      headers: { accept: "text/event-stream" },
      cache: "no-store",
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (!response.ok || !response.body) {
      throw ApiError.fromResponse(response, await response.json().catch(() => null));
    }
    const messages: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (message) => messages.push(message) });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      clearTimeout(watch);
      watch = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
      parser.feed(piece.value);
      if (messages.length > 0 && !onFrames(framesOf(messages.splice(0)))) {
        await reader.cancel();
        return;
      }
    }
  } catch (error) {
    throw error instanceof ApiError ? error : ApiError.unreachable();
  } finally {
    clearTimeout(watch);
  }
}

/** Sorts messages into events and what the stream says about itself. */
export function framesOf(messages: readonly EventSourceMessage[]): Frames {
  const events: LogEvent[] = [];
  const controls: Control[] = [];
  for (const { event, data } of messages) {
    const body = JSON.parse(data) as Record<string, unknown>;
    switch (event) {
      case "stream.ready":
        controls.push({
          type: "ready",
          position: Number(body.position),
          logId: String(body.log_id),
        });
        break;
      case "heartbeat":
        controls.push({
          type: "heartbeat",
          position: Number(body.position),
          at: String(body.at),
        });
        break;
      case "stream.reset":
        controls.push({
          type: "reset",
          position: typeof body.position === "number" ? body.position : null,
        });
        break;
      case "stream.end":
        controls.push({ type: "end", reason: String(body.reason) });
        break;
      default:
        events.push(body as unknown as LogEvent);
    }
  }
  return { events, controls };
}
