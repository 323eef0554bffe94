import { expect, it } from "vitest";
import { possible } from "./changes";

it("starts what does not run, stops what does, and freezes only what lives in a container", () => {
  const can = (phase: "running" | "stopped" | "paused" | "deleting", isolation: string | null) =>
    possible({ phase, isolation });
  expect(can("running", "uid")).toEqual({ canStart: false, canStop: true, canPause: false });
  expect(can("running", "container")).toEqual({ canStart: false, canStop: true, canPause: true });
  expect(can("paused", "container")).toEqual({ canStart: true, canStop: true, canPause: false });
  expect(can("stopped", null)).toEqual({ canStart: true, canStop: false, canPause: false });
  expect(can("deleting", "uid")).toEqual({ canStart: false, canStop: false, canPause: false });
});
