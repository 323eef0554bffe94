import { expect, it } from "vitest";
import {
  formatAge,
  formatBytes,
  formatCost,
  formatDuration,
  formatRunning,
  formatShortCount,
} from "./format";

it("writes durations with two units at most", () => {
  const written = [0, 850, 4_250, 59_999, 252_000, 11_100_000, 180_000_000].map(formatDuration);
  expect(written).toEqual(["0 ms", "850 ms", "4.2 s", "59 s", "4m 12s", "3h 05m", "2d 02h"]);
});

it("writes what still runs in whole seconds, and never a negative time", () => {
  expect(formatRunning(4_250)).toBe("4 s");
  expect(formatRunning(-3_000)).toBe("0 s");
});

it("writes small costs with the digits that matter", () => {
  expect([0, 0.012, 0.83, 18.4].map(formatCost)).toEqual(["$0.00", "$0.0120", "$0.83", "$18.40"]);
});

it("writes ages and large counts in a few characters", () => {
  expect(formatAge(5_000)).toBe("just now");
  expect(formatAge(7_200_000)).toBe("2 h ago");
  expect(formatShortCount(182_400)).toBe("182.4K");
});

it("writes amounts of data in the unit that fits", () => {
  expect([999, 12_400, 3_100_000, 2_000_000_000].map(formatBytes)).toEqual([
    "999 B",
    "12 kB",
    "3.1 MB",
    "2.0 GB",
  ]);
});
