import * as v from "valibot";
import { expect, it } from "vitest";
import { eventSearch, exportHref } from "./search";

it("keeps of an address what it understands", () => {
  const search = v.parse(eventSearch, { stream: "agent:scout", after: "12", at: "x", other: "y" });
  expect(search).toEqual({ stream: "agent:scout", after: "12" });
});

it("exports what the filter leaves", () => {
  const search = v.parse(eventSearch, { type: "AgentCreated,AgentDeleted", after: "3", at: "9" });
  expect(exportHref(search, "ndjson")).toBe(
    "/api/events?format=ndjson&type=AgentCreated%2CAgentDeleted&after=3",
  );
});
