import { createParser, type EventSourceMessage } from "eventsource-parser";
import { ApiError } from "@/api/problem";

/** A stream is silent for three heartbeats: it is gone, whatever the network says. */
const SILENCE_MS_MAX = 45_000;

/**
 * Reads a stream of Server-Sent Events until it ends, or until `onMessages` says by `false` that this
 * is enough.
 *
 * `fetch` instead of `EventSource`: it tells an expired login from a server that is away, and hears
 * events whose names it was not told before.
 *
 * @throws ApiError when the server refuses, or cannot be reached.
 */
export async function readSse(
  path: string,
  signal: AbortSignal,
  onMessages: (messages: readonly EventSourceMessage[]) => boolean,
): Promise<void> {
  const silence = new AbortController();
  let watch = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
  try {
    const response = await fetch(path, {
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
      if (messages.length > 0 && !onMessages(messages.splice(0))) {
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
