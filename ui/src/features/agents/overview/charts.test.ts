import { expect, it } from "vitest";
import { chartsOf } from "./charts";

const bucket = (hour: number, rest: object = {}) => ({
  start: new Date(Date.UTC(2026, 10, 21, hour)).toISOString(),
  completed: 0,
  failed: 0,
  cancelled: 0,
  total: 0,
  cost: 0,
  duration_p50_ms: null,
  duration_p95_ms: null,
  ...rest,
});

it("draws how runs ended with sums, and leaves gaps where none took any time", () => {
  const { runs, cost, durations } = chartsOf([
    bucket(9, { completed: 2, failed: 1, cost: 0.5, duration_p50_ms: 900, duration_p95_ms: 4_200 }),
    bucket(10),
    bucket(11, { completed: 1, cancelled: 1, cost: 0.25 }),
  ]);
  expect(runs.series.map(({ label, summary }) => `${label} ${summary}`)).toEqual([
    "Done 3",
    "Failed 1",
    "Cancelled 1",
  ]);
  expect(cost.series[0]?.summary).toBe("$0.75");
  expect(durations.series[0]).toMatchObject({ values: [4_200, null, null], summary: "4.2 s" });
  expect(runs.times[1]).toBe(Date.UTC(2026, 10, 21, 10));
});

it("says nothing of durations where there were none", () => {
  expect(chartsOf([bucket(9)]).durations.series[0]?.summary).toBeUndefined();
});
