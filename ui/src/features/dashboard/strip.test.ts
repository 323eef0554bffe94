import { expect, it } from "vitest";
import { barsOf, barText, sumOf } from "./strip";

const bucket = (hour: number, completed: number, failed = 0, cancelled = 0) => ({
  start: new Date(Date.UTC(2026, 10, 21, hour)).toISOString(),
  completed,
  failed,
  cancelled,
  total: completed + failed + cancelled,
  cost: completed / 10,
  duration_p50_ms: null,
  duration_p95_ms: null,
});

it("makes a bar of each hour, with where it begins and ends", () => {
  const bars = barsOf([bucket(9, 2), bucket(10, 0)], 1);
  expect(bars).toHaveLength(2);
  expect(bars[0]).toMatchObject({
    from: "2026-11-21T09:00:00.000Z",
    to: "2026-11-21T10:00:00.000Z",
    total: 2,
  });
});

it("joins hours where there is little room, and loses none of them", () => {
  const bars = barsOf([bucket(9, 2, 1), bucket(10, 3), bucket(11, 1)], 2);
  expect(bars.map(({ total }) => total)).toEqual([6, 1]);
  expect(bars[0]).toMatchObject({ failed: 1, to: "2026-11-21T11:00:00.000Z" });
  expect(sumOf(bars)).toMatchObject({ total: 7, failed: 1 });
  expect(sumOf(bars).cost).toBeCloseTo(0.6);
});

it("says in words what a bar shows", () => {
  const words = barsOf([bucket(9, 2, 1, 3), bucket(10, 0)], 1).map(barText);
  expect(words).toEqual(["2 done, 1 failed, 3 cancelled", "nothing ended"]);
});
