import { expect, it } from "vitest";
import { type CredentialsStatus, credentialLook, kindOf, missing } from "./credentials";

const token = {
  name: "TOKEN",
  kind: "variable",
  updated_at: "2026-11-21T09:00:00.000Z",
};

function status(rest: Partial<CredentialsStatus> = {}): CredentialsStatus {
  return {
    agent_name: "scout",
    credentials: [token],
    in_force: false,
    injected: ["TOKEN"],
    injected_at: "2026-11-21T09:00:01.000Z",
    error: null,
    not_masked: [],
    position: 1,
    ...rest,
  };
}

it("says of each credential whether the agent has it as it is stored", () => {
  const word = (rest: Partial<CredentialsStatus>, phase: "running" | "stopped" = "running") =>
    credentialLook(token, status(rest), phase).word;
  expect(word({ in_force: true })).toBe("In force");
  expect(word({})).toBe("In force");
  expect(word({ injected_at: "2026-11-21T08:00:00.000Z" })).toBe("Not given yet");
  expect(word({ injected: [] })).toBe("Not given yet");
  expect(word({ injected: [], injected_at: null, error: "no answer" })).toBe("Not given");
  expect(word({ in_force: true }, "stopped")).toBe("At its next start");
});

it("knows a file by its dot or slash", () => {
  expect(["API_KEY", ".netrc", "keys/id"].map(kindOf)).toEqual(["variable", "file", "file"]);
});

it("names what a template wants and nobody has set", () => {
  const wanted = { TOKEN: "to log in", API_KEY: "for the model" };
  expect(missing(wanted, status())).toEqual([{ name: "API_KEY", purpose: "for the model" }]);
});
