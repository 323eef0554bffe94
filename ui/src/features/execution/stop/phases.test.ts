import { describe, expect, it } from "vitest";
import { event } from "@/test/events";
import { graceMs, isUrgent, stopPhases } from "./phases";

const requested = event(1, "CancelRequested", { data: { by: "user:1", urgency: "graceful" } });
const interrupted = event(2, "InterruptSent", {
  data: { at: "2026-11-21T09:00:02.000Z", grace_ms: 5_000 },
});

describe("a stop", () => {
  it("goes through its phases as they are told", () => {
    const states = (phase: "requested" | "interrupting" | "killing") =>
      stopPhases({ cancel_phase: phase }, [requested, interrupted]).map(({ state }) => state);
    expect(states("requested")).toEqual(["now", "ahead", "ahead"]);
    expect(states("interrupting")).toEqual(["done", "now", "ahead"]);
    expect(states("killing")).toEqual(["done", "done", "now"]);
  });

  it("knows when each was reached", () => {
    const phases = stopPhases({ cancel_phase: "interrupting" }, [requested, interrupted]);
    expect(phases.map(({ at }) => at)).toEqual([
      requested.recorded_at,
      "2026-11-21T09:00:02.000Z",
      null,
    ]);
  });

  it("counts down only where the grace is known", () => {
    expect(graceMs([requested, interrupted])).toBe(5_000);
    expect(graceMs([event(2, "InterruptSent", { data: { at: "2026-11-21T09:00:02.000Z" } })])).toBe(
      null,
    );
  });

  it("knows whether it was made urgent", () => {
    expect(isUrgent([requested])).toBe(false);
    expect(isUrgent([requested, event(3, "CancelRequested", { data: { urgency: "kill" } })])).toBe(
      true,
    );
  });
});
