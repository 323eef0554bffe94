import { describe, expect, it } from "vitest";
import { found, isComplete, jumped, MATCHES_MAX, searchFor, searchSummary } from "./search-cursor";

const answer = (seqs: number[], next: number, total = 100) => ({ seqs, next, total });

describe("a search in a log", () => {
  it("goes on until all lines were looked at", () => {
    const begun = found(searchFor("panic"), answer([3, 9], 50));
    expect(isComplete(begun)).toBe(false);
    expect(searchSummary(begun)).toBe("2+ lines");
    const done = found(begun, answer([77], 100));
    expect(isComplete(done)).toBe(true);
    expect(done.matches).toEqual([3, 9, 77]);
    expect(searchSummary(done)).toBe("3 lines");
  });

  it("takes a match in once, and ends when the server does not get on", () => {
    const begun = found(searchFor("x"), answer([3], 50));
    const again = found(begun, answer([3], 50));
    expect(again.matches).toEqual([3]);
    expect(isComplete(again)).toBe(true);
  });

  it("goes on when the log has grown", () => {
    const done = found(searchFor("x"), answer([3], 100));
    expect(isComplete({ ...done, total: 120 })).toBe(false);
  });

  it("jumps from where the reader is, and round at the ends", () => {
    const done = found(searchFor("x"), answer([3, 9, 77], 100));
    const first = jumped(done, 1, 5);
    expect(searchSummary(first)).toBe("2 of 3");
    expect(searchSummary(jumped(first, 1, 0))).toBe("3 of 3");
    expect(searchSummary(jumped(jumped(first, 1, 0), 1, 0))).toBe("1 of 3");
    expect(searchSummary(jumped(done, -1, 80))).toBe("3 of 3");
    expect(searchSummary(jumped(done, -1, 9))).toBe("1 of 3");
  });

  it("says when there is nothing, and when there is too much", () => {
    expect(searchSummary(searchFor("x"))).toBe("Searching");
    expect(searchSummary(found(searchFor("x"), answer([], 100)))).toBe("No line shows it");
    const many = Array.from({ length: MATCHES_MAX + 5 }, (_, index) => index + 1);
    const full = found(searchFor("x"), answer(many, 9_000, 100_000));
    expect(isComplete(full)).toBe(true);
    expect(searchSummary(full)).toBe(`${MATCHES_MAX}+ lines`);
  });
});
