import * as v from "valibot";
import { expect, it } from "vitest";
import { agent } from "@/test/agents";
import { agentSearch, fits, hasFilter, tagCounts } from "./search";

const search = (address: object) => v.parse(agentSearch, address);

it("drops what it does not know from the address", () => {
  expect(search({ status: "running,nonsense", view: "cards", page: "3" })).toEqual({
    status: "running",
    q: undefined,
    view: "cards",
  });
  expect(search({ status: "nonsense", view: "graph" })).toEqual({
    status: undefined,
    q: undefined,
    view: undefined,
  });
});

it("finds agents by status and by words of what they are", () => {
  const scout = agent({ model: "opus", owner: "ana", phase: "starting" });
  expect(fits(search({ status: "changing,failed" }), scout)).toBe(true);
  expect(fits(search({ status: "running" }), scout)).toBe(false);
  expect(fits(search({ q: "SCO opus" }), scout)).toBe(true);
  expect(fits(search({ q: "scout bob" }), scout)).toBe(false);
});

it("finds agents by any of some tags, and says which tags there are", () => {
  const fleet = [agent({ tags: ["ops", "web"] }), agent({ tags: ["web"] }), agent()];
  const found = (tag: string) => fleet.map((one) => fits(search({ tag }), one));
  expect(found("web")).toEqual([true, true, false]);
  expect(found("ops,nothing")).toEqual([true, false, false]);
  expect(hasFilter(search({ tag: "ops" }))).toBe(true);
  expect(hasFilter(search({ tag: "" }))).toBe(false);
  expect(tagCounts(fleet)).toEqual([
    ["web", 2],
    ["ops", 1],
  ]);
});
