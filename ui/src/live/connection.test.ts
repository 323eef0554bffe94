import { describe, expect, it } from "vitest";
import { changed, isPaused, NOT_CONNECTED, PAUSED_AFTER_MS, retryDelayMs } from "./connection";

const open = changed(NOT_CONNECTED, { type: "heard", at: 1_000 });

describe("the connection", () => {
  it("is paused only after it has been lost for a while", () => {
    const lost = changed(open, { type: "lost", at: 5_000, retryAt: 5_500 });
    expect(isPaused(lost, 5_000 + PAUSED_AFTER_MS - 1)).toBe(false);
    expect(isPaused(lost, 5_000 + PAUSED_AFTER_MS)).toBe(true);
  });

  it("remembers through failed attempts since when it is lost and when it was last heard", () => {
    let connection = changed(open, { type: "lost", at: 5_000, retryAt: 5_500 });
    connection = changed(connection, { type: "connecting" });
    connection = changed(connection, { type: "lost", at: 9_000, retryAt: 10_000 });
    expect(connection).toMatchObject({
      lostAt: 5_000,
      heardAt: 1_000,
      failures: 2,
      retryAt: 10_000,
    });
  });

  it("is as new once it is heard again", () => {
    const lost = changed(open, { type: "lost", at: 5_000, retryAt: 5_500 });
    const again = changed(lost, { type: "heard", at: 6_000 });
    expect(again).toEqual({ ...open, heardAt: 6_000 });
    expect(isPaused(again, 99_000)).toBe(false);
  });

  it("waits longer with every failure, within bounds, and not in step with others", () => {
    const delays = [0, 1, 2, 3, 50].map((failures) => retryDelayMs(failures, 1));
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 10_000]);
    expect(retryDelayMs(3, 0)).toBeLessThan(retryDelayMs(3, 0.5));
  });
});
