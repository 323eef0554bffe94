import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { request } from "@/test/events";
import { requested } from "./fold";
import { matches } from "./matches";
import { type ExecutionSearch, executionSearch, hasFilter, toQuery } from "./search";

const NOW_MS = Date.UTC(2026, 10, 21, 12);
const parse = (search: object) => v.parse(executionSearch, search);

describe("the filter in the address", () => {
  it("drops what it does not know instead of failing", () => {
    const search = parse({ status: "failed,exploded", from: "yesterday", cost_min: "-1", x: "y" });
    expect(search).toMatchObject({ status: "failed" });
    expect(search.from).toBeUndefined();
    expect(search.cost_min).toBeUndefined();
    expect("x" in search).toBe(false);
    expect(hasFilter(parse({ status: "exploded" }))).toBe(false);
  });

  it("reads times that pass", () => {
    expect(toQuery(parse({ from: "-24h" }), NOW_MS).from).toBe("2026-11-20T12:00:00.000Z");
    expect(toQuery(parse({ from: "-7d" }), NOW_MS).from).toBe("2026-11-14T12:00:00.000Z");
  });

  it("says costs as numbers, as the API takes them", () => {
    const query = toQuery(parse({ cost_min: "0.05", q: "words" }), NOW_MS);
    expect(query).toMatchObject({ cost_min: 0.05, q: "words" });
  });
});

describe("matching an execution", () => {
  const row = { ...requested(request(1, "one", { message: "Fix 50% of CI" })), cost: 0.1 };
  const fits = (search: Partial<ExecutionSearch>) => matches(parse(search), row, NOW_MS);

  it("takes values of one part as alternatives and parts together", () => {
    expect(fits({ status: "failed,pending" })).toBe(true);
    expect(fits({ status: "failed,pending", agent: "other" })).toBe(false);
  });

  it("finds whole words without regard to case, and signs by themselves", () => {
    expect(fits({ q: "ci fix" })).toBe(true);
    expect(fits({ q: "%" })).toBe(true);
    expect(fits({ q: "fi" })).toBe(false);
  });

  it("compares costs only where they are known", () => {
    expect(fits({ cost_min: "0.1" })).toBe(true);
    expect(fits({ cost_max: "0.05" })).toBe(false);
    expect(matches(parse({ cost_max: "1" }), { ...row, cost: null }, NOW_MS)).toBe(false);
  });

  it("begins with the time from and ends before the time to", () => {
    expect(fits({ from: row.created_at })).toBe(true);
    expect(fits({ to: row.created_at })).toBe(false);
  });
});
