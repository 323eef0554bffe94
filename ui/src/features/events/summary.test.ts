import { expect, it } from "vitest";
import { event, outcome, request } from "@/test/events";
import { prettyData, summaryOf } from "./summary";

it("says in one line what an event is about", () => {
  expect(summaryOf(request(1, "one"))).toBe("scout: Summarise the changelog");
  expect(summaryOf(event(2, "ExecutionCompleted", { data: { outcome: outcome() } }))).toBe(
    "4.2 s, $0.0210: Done.",
  );
  expect(
    summaryOf(event(3, "ExecutionFailed", { data: { class: "exit", error: "code 1\nat x" } })),
  ).toBe("exit: code 1");
  expect(
    summaryOf(event(4, "SlotReleased", { data: { slot: 1, reason: "exited", gone: null } })),
  ).toBe("slot 1 · reason exited");
});

it("says something of types that it does not know, and of bodies that are not as expected", () => {
  expect(summaryOf(event(1, "Unheard", { data: { some_count: 3, deep: { a: 1 } } }))).toBe(
    "some count 3",
  );
  expect(summaryOf(event(1, "ExecutionCompleted", { data: {} }))).toBe("–: –");
});

it("makes what agents wrote harmless, and no line endless", () => {
  const message = `\u202egnp.exe ${"a".repeat(999)}`;
  const said = summaryOf(request(1, "one", { message }));
  expect(said).toContain("⟨U+202E⟩");
  expect(said.length).toBeLessThan(260);
  expect(prettyData({ text: "a\u202eb" })).toContain("a⟨U+202E⟩b");
});
