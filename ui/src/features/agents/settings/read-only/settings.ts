import { api, send } from "@/api/client";
import type { AgentDetail } from "../../fold";
import { listOfText, textOfList } from "../list-text";
import { ifStill } from "../save";
import type { Setting } from "../setting-form";

function save(agent: AgentDetail, change: Partial<AgentDetail["read_only"]>, version: string) {
  const { enabled, ...config } = { ...agent.read_only, ...change };
  const params = ifStill(agent, version);
  return send(api.PUT("/api/agents/{name}/read-only", { params, body: { enabled, config } }));
}

/** Whether it is on. */
export const READ_ONLY: Setting = {
  label: "Read-only workspace",
  hint: "For runs that start from then on; HOME and temporary files stay writable.",
  pointer: "/enabled",
  kind: "switch",
  current: (agent) => (agent.read_only.enabled ? "on" : "off"),
  save: (agent, value, version) => save(agent, { enabled: value === "on" }, version),
};

/** Where it does not hold, and where in there it does. */
export const WHERE_NOT: readonly Setting[] = [
  {
    label: "Allowed folders",
    hint: "What may be changed all the same, as out/ or out/**. Enter adds one.",
    pointer: "/config",
    kind: "list",
    placeholder: "out/",
    current: (agent) => textOfList(agent.read_only.allowed_patterns),
    save: (agent, value, version) => save(agent, { allowed_patterns: listOfText(value) }, version),
  },
  {
    label: "Blocked patterns",
    hint: "What in those folders stays as it is. Most of it can only be told to the CLI.",
    pointer: "/config",
    kind: "list",
    placeholder: "out/*.lock",
    current: (agent) => textOfList(agent.read_only.blocked_patterns),
    save: (agent, value, version) => save(agent, { blocked_patterns: listOfText(value) }, version),
  },
];
