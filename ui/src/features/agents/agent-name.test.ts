import { expect, it } from "vitest";
import { nameProblem } from "./agent-name";

const nothing: ReadonlySet<string> = new Set();

it("takes what the server takes", () => {
  for (const name of ["a", "scout", "web-2", "0-day", "x".repeat(63), "a--b"]) {
    expect(nameProblem(name, nothing), name).toBeNull();
  }
});

it("says what is wrong and what would be right", () => {
  expect(nameProblem("Web Crawler_2", nothing)?.suggestion).toBe("web-crawler-2");
  expect(nameProblem("-scout-", nothing)?.suggestion).toBe("scout");
  expect(nameProblem("日本", nothing)?.suggestion).toBeNull();
  expect(nameProblem("x".repeat(64), nothing)?.detail).toContain("63 characters at most");
});

it("knows names that are reserved or taken", () => {
  expect(nameProblem("slots", nothing)?.detail).toContain("reserved");
  const taken = new Set(["scout", "scout-2"]);
  expect(nameProblem("scout", taken)?.suggestion).toBe("scout-3");
});
