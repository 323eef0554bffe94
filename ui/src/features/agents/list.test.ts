import { describe, expect, it } from "vitest";
import { agent, ofAgent, ofSlots } from "@/test/agents";
import { event, request } from "@/test/events";
import { applyToAgents, applyToLatest, type LatestRuns } from "./list";

const page = (...names: string[]) => ({
  agents: names.map((name) => agent({ name, incarnation: `life-of-${name}` })),
  isStale: false,
});

describe("the list of agents", () => {
  it("changes its rows in place, and leaves the others the same objects", () => {
    const before = page("scout", "scribe");
    const after = applyToAgents(before, [ofAgent(2, "AgentStopRequested", "scout")]);
    expect(after.agents[0]).toMatchObject({ phase: "stopping", status: "running", version: 2 });
    expect(after.agents[1]).toBe(before.agents[1]);
  });

  it("counts slots and queue by the life of the name", () => {
    const events = [
      ofSlots(2, "ExecutionEnqueued", "life-of-scout"),
      ofSlots(3, "SlotAcquired", "life-of-scout", { epoch: 1 }),
      ofSlots(4, "ExecutionEnqueued", "life-of-scout"),
      ofSlots(5, "ExecutionEnqueued", "another-life"),
    ];
    const after = applyToAgents(page("scout"), events);
    expect(after.agents[0]?.slots).toEqual({ active: 1, queued: 1, max: 3 });
  });

  it("loses those that are deleted", () => {
    const after = applyToAgents(page("scout", "scribe"), [ofAgent(2, "AgentDeleted", "scout")]);
    expect(after.agents.map(({ name }) => name)).toEqual(["scribe"]);
    expect(after.isStale).toBe(false);
  });

  it("asks the server about those that are new", () => {
    expect(applyToAgents(page(), [ofAgent(2, "AgentCreated", "new")]).isStale).toBe(true);
  });

  it("stays the same object when nothing concerns it", () => {
    const before = page("scout");
    expect(applyToAgents(before, [ofAgent(2, "AgentStarted", "another")])).toBe(before);
    expect(applyToAgents(before, [request(3, "run")])).toBe(before);
  });
});

describe("what agents ran last", () => {
  const ended = (position: number, id: string) =>
    event(position, "ExecutionCompleted", { stream_id: id });

  it("follows the newest run of each", () => {
    const none: LatestRuns = {};
    const asked = applyToLatest(none, [request(2, "one")]);
    expect(asked.scout).toMatchObject({ id: "one", status: "pending" });
    const newer = applyToLatest(asked, [request(3, "two"), ended(4, "one")]);
    expect(newer.scout).toMatchObject({ id: "two", status: "pending", completed_at: null });
    const done = applyToLatest(newer, [ended(5, "two")]);
    expect(done.scout).toMatchObject({ status: "completed" });
    expect(done.scout?.completed_at).not.toBeNull();
  });

  it("stays the same object when nothing concerns it", () => {
    const none: LatestRuns = {};
    expect(applyToLatest(none, [ended(2, "unknown")])).toBe(none);
  });
});
