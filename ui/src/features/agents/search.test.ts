import * as v from "valibot";
import { expect, it } from "vitest";
import { agent } from "@/test/agents";
import { agentSearch, fits } from "./search";

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
