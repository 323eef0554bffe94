import { expect, it } from "vitest";
import { parseSearch, stringifySearch } from "./search-params";

it("writes addresses that people can read, and reads them back", () => {
  const search = { status: "failed,running", q: "50% & more", from: "2026-11-21T09:00:00.000Z" };
  const text = stringifySearch({ ...search, agent: undefined, to: "" });
  expect(text).toBe("?status=failed,running&q=50%25+%26+more&from=2026-11-21T09:00:00.000Z");
  expect(parseSearch(text)).toEqual(search);
  expect(stringifySearch({})).toBe("");
});
