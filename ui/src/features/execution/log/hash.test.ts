import { expect, it } from "vitest";
import { lineOfHash } from "./hash";

it("reads the line that an address names, and nothing else", () => {
  expect(lineOfHash("seq=1432")).toBe(1432);
  expect(lineOfHash("#seq=1")).toBe(1);
  expect(["", "seq=", "seq=0", "seq=-1", "seq=1e3", "top"].map(lineOfHash)).toEqual(
    Array(6).fill(null),
  );
});
