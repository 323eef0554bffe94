import { describe, expect, it } from "vitest";
import { requested } from "@/features/executions/fold";
import { event, outcome, request } from "@/test/events";
import { applyToRunning, runningOf } from "./running";

const started = (position: number, id: string) =>
  event(position, "ExecutionStarted", {
    stream_id: id,
    data: { slot: 1, epoch: 1, claude_session_id: id, started_at: "2026-11-21T09:00:09.000Z" },
  });
const ended = (position: number, id: string) =>
  event(position, "ExecutionCompleted", { stream_id: id, data: { outcome: outcome() } });
const ids = ({ rows }: { rows: readonly { id: string }[] }) => rows.map(({ id }) => id);

describe("what runs now", () => {
  it("gains what starts and loses what ends", () => {
    const events = [request(1, "a"), request(2, "b"), started(3, "b"), started(4, "a")];
    const now = applyToRunning(runningOf([]), events);
    expect(ids(now)).toEqual(["b", "a"]);
    expect(now.waiting).toEqual([]);
    expect(ids(applyToRunning(now, [ended(5, "b")]))).toEqual(["a"]);
  });

  it("shows a stop while it goes on", () => {
    const now = applyToRunning(runningOf([]), [request(1, "a"), started(2, "a")]);
    const stop = event(3, "InterruptSent", { stream_id: "a" });
    expect(applyToRunning(now, [stop]).rows[0]?.cancel_phase).toBe("interrupting");
  });

  it("forgets who is cancelled before it ran", () => {
    const cancel = event(2, "ExecutionCancelled", {
      stream_id: "a",
      data: { by: "user:x", reason: "requested", phase: "queued", outcome: outcome() },
    });
    const now = applyToRunning(runningOf([]), [request(1, "a"), cancel]);
    expect(now).toEqual(runningOf([]));
  });

  it("says when something runs that it was not told about", () => {
    const now = applyToRunning(runningOf([]), [started(9, "unknown")]);
    expect(now.isStale).toBe(true);
    expect(applyToRunning(now, [started(10, "other")])).toBe(now);
  });

  it("stays the same object when nothing concerns it", () => {
    const now = runningOf([requested(request(1, "a"))]);
    expect(applyToRunning(now, [event(2, "AgentStarted", { stream_type: "agent" })])).toBe(now);
  });
});
