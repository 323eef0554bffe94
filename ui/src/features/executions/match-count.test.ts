import { describe, expect, it } from "vitest";
import { matchText } from "./match-count";

describe("what fits a filter", () => {
  it("is counted, and its cost added up", () => {
    expect(matchText({ total: 1_234, cost: 12.34, is_cut: false })).toBe("1,234 runs · $12.34");
    expect(matchText({ total: 1, cost: 0.5, is_cut: false })).toBe("1 run · $0.50");
    expect(matchText({ total: 98_765, cost: 54_321, is_cut: false })).toBe(
      "98,765 runs · $54,321.00",
    );
  });

  it("may be more than was counted", () => {
    expect(matchText({ total: 1_000, cost: 9, is_cut: true })).toBe("1,000+ runs · $9.00+");
  });

  it("costs nothing where there is nothing", () => {
    expect(matchText({ total: 0, cost: 0, is_cut: false })).toBe("0 runs");
  });
});
