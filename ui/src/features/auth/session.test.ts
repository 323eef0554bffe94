import { expect, it } from "vitest";
import { backTo } from "./session";

it("leads back to pages of this server alone", () => {
  expect(backTo("/executions?status=failed")).toBe("/executions?status=failed");
  expect(backTo("//evil.example/")).toBeUndefined();
  expect(backTo("/\\evil.example/")).toBeUndefined();
  expect(backTo("https://evil.example/")).toBeUndefined();
  expect(backTo("javascript:alert(1)")).toBeUndefined();
  expect(backTo("/login?next=/login")).toBeUndefined();
});
