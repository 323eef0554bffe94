import { expect, it } from "vitest";
import { BASE, changed, edited, seen } from "./draft";

it("is over what was set when somebody began to write", () => {
  const draft = edited(edited(BASE, "4", "3"), "45", "3");
  expect(draft).toEqual({ value: "45", base: "3" });
  expect(changed(draft, "3")).toBeNull();
});

it("says what somebody else has set meanwhile, until it was seen", () => {
  const draft = edited(BASE, "4", "3");
  expect(changed(draft, "8")).toBe("8");
  expect(changed(seen(draft, "8"), "8")).toBeNull();
  // Written further, it is still over what was seen at the beginning.
  expect(changed(edited(draft, "5", "8"), "8")).toBe("8");
});

it("minds nothing when both mean the same, or nothing is written", () => {
  expect(changed(edited(BASE, "4", "3"), "4")).toBeNull();
  expect(changed(BASE, "8")).toBeNull();
});
