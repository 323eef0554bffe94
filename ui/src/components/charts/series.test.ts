import { expect, it } from "vitest";
import { type ChartData, drawnValues, hasValues, timeRange, valueRange } from "./series";

const bars = (...rows: (number | null)[][]): ChartData => ({
  kind: "bars",
  times: [1_000, 2_000, 3_000],
  series: rows.map((values, index) => ({ label: `row ${index}`, tone: "ink", values })),
});

it("puts bars on those of the series before", () => {
  expect(drawnValues(bars([1, 0, 2], [3, null, 1]))).toEqual([
    [1, 0, 2],
    [4, 0, 3],
  ]);
});

it("leaves lines where they are, with their gaps", () => {
  const lines: ChartData = { ...bars([1, null, 2], [3, 4, 5]), kind: "line" };
  expect(drawnValues(lines)).toEqual([
    [1, null, 2],
    [3, 4, 5],
  ]);
});

it("has nothing to draw without values, or with bars of no height", () => {
  expect(hasValues(bars([0, 0, 0], [null, 0, 0]))).toBe(false);
  expect(hasValues({ ...bars([0, 0, 0]), kind: "steps" })).toBe(true);
  expect(hasValues({ ...bars([null, null, null]), kind: "line" })).toBe(false);
});

it("leaves the last bar the room of its bucket", () => {
  expect(timeRange(bars([1, 1, 1]))).toEqual([1_000, 4_000]);
  expect(timeRange({ ...bars([1, 1, 1]), kind: "line" })).toEqual([1_000, 3_000]);
});

it("begins the axis of values at nothing, also when there is nothing else", () => {
  expect(valueRange([[0, null]])).toEqual([0, 1]);
  expect(valueRange([[50, 100]])).toEqual([0, 108]);
});
