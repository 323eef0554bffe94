import type { EventSourceMessage } from "eventsource-parser";
import type { LogEvent } from "./event";
import { readSse } from "./read-sse";

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

/**
 * Reads the stream of the log after `position` (from now on without one) until it ends, or until
 * `onFrames` says by `false` that this is enough.
 *
 * @throws ApiError when the server refuses, or cannot be reached.
 */
export async function readStream(
  position: number | null,
  signal: AbortSignal,
  onFrames: (frames: Frames) => boolean,
): Promise<void> {
  const query = position === null ? "" : `?after=${position}`;
  await readSse(`/api/stream${query}`, signal, (messages) => onFrames(framesOf(messages)));
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
