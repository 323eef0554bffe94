import { describe, expect, it } from "vitest";
import { outcomeText, previewOf } from "./bulk";
import type { ExecutionSearch } from "./search";

const NOW = Date.UTC(2026, 10, 21, 12);

describe("ending many executions", () => {
  it("asks for those that were chosen", () => {
    expect(previewOf({ ids: ["a", "b"] }, NOW)).toEqual({ action: "terminate", ids: ["a", "b"] });
  });

  it("asks for what the list shows, in the server's words", () => {
    const search = { agent: "scout,scribe", status: "running", from: "-24h" } as ExecutionSearch;
    expect(previewOf({ search }, NOW).filter).toMatchObject({
      agent: ["scout", "scribe"],
      status: ["running"],
      triggered_by: undefined,
      from: "2026-11-20T12:00:00.000Z",
    });
  });

  it("says what has become of them", () => {
    expect(outcomeText({ already_finished: 1, cancelling: 2, failed: 0 })).toBe(
      "2 being stopped, 1 had ended before",
    );
  });
});
