import { expect, it } from "vitest";
import { requestKeys } from "./request-key";

it("names the same content alike until it was done", () => {
  const keys = requestKeys();
  const first = keys.keyOf({ message: "hello" });
  expect(keys.keyOf({ message: "hello" })).toBe(first);
  expect(keys.keyOf({ message: "hello!" })).not.toBe(first);
  const again = keys.keyOf({ message: "hello" });
  keys.done();
  expect(keys.keyOf({ message: "hello" })).not.toBe(again);
  expect(first).toMatch(/^[0-9a-f]{32}$/);
});
