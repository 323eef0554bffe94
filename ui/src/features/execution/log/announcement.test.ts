import { expect, it } from "vitest";
import { announcement } from "./announcement";

it("says how much has come and how much of it went wrong", () => {
  expect(announcement(28, 1)).toBe("28 new lines, 1 error");
  expect(announcement(1, 0)).toBe("1 new line");
  expect(announcement(0, 0)).toBe("");
});
