import { expect, it } from "vitest";
import { enforcement, patternLook } from "./enforcement";

it("says what sees to it, and what that means for runs", () => {
  expect(enforcement({ enforced: true, restart_needed: false })).toMatch(/by the kernel/);
  expect(enforcement({ enforced: false, restart_needed: true })).toMatch(/started again/);
  expect(enforcement({ enforced: null, restart_needed: false })).toMatch(/while the agent runs/);
  expect(enforcement({ enforced: false, restart_needed: false })).toMatch(/do not start/);
});

it("says of each pattern whether it holds against a shell too", () => {
  const word = (kind: "allowed" | "blocked", enforced: boolean) =>
    patternLook({ pattern: "out/", kind, enforced }).word;
  expect(word("allowed", true)).toBe("Enforced");
  expect(word("allowed", false)).toBe("Stays read-only");
  expect(word("blocked", false)).toBe("Told to the CLI alone");
});
