import { expect, it } from "vitest";
import { clip } from "./clip";

it("shows short texts whole", () => {
  expect(clip("one\ntwo")).toEqual({ text: "one\ntwo", isCut: false });
  expect(clip("one\n")).toEqual({ text: "one\n", isCut: false });
  expect(clip("")).toEqual({ text: "", isCut: false });
});

it("cuts by characters and by lines, never through a character", () => {
  expect(clip("abcdef", 4)).toEqual({ text: "abcd", isCut: true });
  expect(clip("a\nb\nc\nd", 100, 2)).toEqual({ text: "a\nb", isCut: true });
  expect(clip("ab😀cd", 3)).toEqual({ text: "ab", isCut: true });
});

it("takes no longer for a long text than for a short one", () => {
  const { text, isCut } = clip("x".repeat(3_000_000));
  expect(text.length).toBe(4_000);
  expect(isCut).toBe(true);
});
