import { expect, it } from "vitest";
import { ALL_FOLDED, isOpen, turn, turnAll } from "./opened";

it("opens single pieces, and folds them again", () => {
  const one = turn(ALL_FOLDED, 7, 1);
  expect([isOpen(one, 7, 1), isOpen(one, 7, 0), isOpen(one, 71, 1)]).toEqual([true, false, false]);
  expect(isOpen(turn(one, 7, 1), 7, 1)).toBe(false);
});

it("opens everything, from which single pieces can be folded", () => {
  const all = turnAll(turn(ALL_FOLDED, 7, 1));
  expect([isOpen(all, 7, 1), isOpen(all, 8, 0)]).toEqual([true, true]);
  expect(isOpen(turn(all, 8, 0), 8, 0)).toBe(false);
  expect(isOpen(turnAll(all), 7, 1)).toBe(false);
});
