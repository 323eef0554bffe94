import { expect, it } from "vitest";
import { modelLook, percentOf } from "./model-state";

const model = { position: 900, lag: 0, degraded: false, error: null, rebuilding: null };

it("says first what is worst about a read model", () => {
  const words = [
    model,
    { ...model, lag: 3 },
    { ...model, lag: 4_100 },
    { ...model, lag: 4_100, rebuilding: 450 },
    { ...model, lag: 4_100, rebuilding: 450, degraded: true },
  ].map((each) => modelLook(each, 900).word);
  expect(words).toEqual(["Current", "Current", "4,100 behind", "Rebuilding, 50 %", "Stopped"]);
});

it("is all there only when nothing is left, also of an empty log", () => {
  expect([percentOf(0, 0), percentOf(999, 1_000), percentOf(1_000, 1_000)]).toEqual([100, 99, 100]);
});
