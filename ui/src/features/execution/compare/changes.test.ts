import { describe, expect, it } from "vitest";
import { event } from "@/test/events";
import { callLines, compareLines, compareTexts, folded } from "./changes";

const sides = (changes: readonly { side: string; text: string }[]) =>
  changes.map(({ side, text }) => `${side}: ${text}`);

describe("a comparison", () => {
  it("says which lines are of one alone", () => {
    expect(sides(compareTexts("one\ntwo\nthree\n", "one\n2\nthree\n"))).toEqual([
      "both: one",
      "a: two",
      "b: 2",
      "both: three",
    ]);
    expect(compareTexts("", "")).toEqual([]);
  });

  it("compares tool calls by name and input, in their order", () => {
    const call = (position: number, name: string, input_preview: string) =>
      event(position, "ToolCallStarted", { data: { name, input_preview } });
    const a = callLines([call(1, "Read", "a.rs"), call(2, "Bash", "cargo test")]);
    const b = callLines([call(1, "Read", "a.rs"), event(2, "ToolCallFinished")]);
    expect(sides(compareLines(a, b))).toEqual(["both: Read a.rs", "a: Bash cargo test"]);
  });

  it("folds what is alike, but for a few lines around what differs", () => {
    const text = (last: string) => `${"same\n".repeat(10)}${last}\n`;
    const rows = folded(compareTexts(text("a"), text("b")));
    expect(rows[0]).toBe(7);
    expect(rows.length).toBe(1 + 3 + 2);
    expect(folded(compareTexts("x\ny\n", "x\ny\n"))).toEqual([2]);
  });
});
