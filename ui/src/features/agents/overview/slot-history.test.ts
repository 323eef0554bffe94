import { expect, it } from "vitest";
import { ofAgent, ofSlots } from "@/test/agents";
import { applyToSlots, POINTS_MAX, type SlotHistory, slotsChart } from "./slot-history";

const empty: SlotHistory = { max_parallel_tasks: 3, points: [], is_cut: false, position: 1 };

it("goes on where the server's steps end", () => {
  const after = applyToSlots("life", empty, [
    ofSlots(2, "ExecutionEnqueued"),
    ofSlots(3, "SlotAcquired", "life", { epoch: 1 }),
    ofSlots(4, "CapacitySet", "life", { max_parallel_tasks: 5 }),
    ofSlots(5, "SlotReleased"),
  ]);
  expect(after.points.map(({ active, queued, max }) => [active, queued, max])).toEqual([
    [0, 1, 3],
    [1, 0, 3],
    [1, 0, 5],
    [0, 0, 5],
  ]);
  expect(after.max_parallel_tasks).toBe(5);
});

it("stays the same object when nothing concerns it", () => {
  const events = [ofSlots(2, "SlotReleased", "another"), ofAgent(3, "AgentStarted")];
  expect(applyToSlots("life", empty, events)).toBe(empty);
});

it("holds a bounded number of steps and says when it has let go of some", () => {
  const many = Array.from({ length: POINTS_MAX + 1 }, (_, index) =>
    ofSlots(index + 2, "ExecutionEnqueued"),
  );
  const after = applyToSlots("life", empty, many);
  expect(after.points).toHaveLength(POINTS_MAX);
  expect(after.is_cut).toBe(true);
});

it("draws the last step until now", () => {
  const one = applyToSlots("life", empty, [ofSlots(2, "ExecutionEnqueued")]);
  const begin = Date.parse(one.points[0]?.at ?? "");
  const { times, series } = slotsChart(one, begin + 60_000);
  expect(times).toEqual([begin, begin + 60_000]);
  expect(series[1]).toMatchObject({ label: "Waiting", values: [1, 1], summary: "1" });
  expect(slotsChart(empty, begin).times).toEqual([]);
});
