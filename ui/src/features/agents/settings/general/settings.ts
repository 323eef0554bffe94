import { api, send } from "@/api/client";
import { listOfText, textOfList } from "../list-text";
import { ifStill } from "../save";
import type { Setting } from "../setting-form";

/** How runs go; in force at once. */
export const RUNS: readonly Setting[] = [
  {
    label: "Runs at once",
    hint: "1 to 32. A smaller number ends nothing that runs.",
    pointer: "/max_parallel_tasks",
    kind: "number",
    min: 1,
    max: 32,
    current: (agent) => String(agent.max_parallel_tasks),
    save: (agent, value, version) =>
      send(
        api.PUT("/api/agents/{name}/capacity", {
          params: ifStill(agent, version),
          body: { max_parallel_tasks: Number(value) },
        }),
      ),
  },
  {
    label: "Timeout, seconds",
    hint: "10 to 86400. Executions that have a slot keep theirs.",
    pointer: "/execution_timeout_seconds",
    kind: "number",
    min: 10,
    max: 86_400,
    current: (agent) => String(agent.execution_timeout_seconds),
    save: (agent, value, version) =>
      send(
        api.PUT("/api/agents/{name}/timeout", {
          params: ifStill(agent, version),
          body: { execution_timeout_seconds: Number(value) },
        }),
      ),
  },
  {
    label: "Model",
    hint: "For tasks that name none. Empty is the CLI’s own default.",
    pointer: "/model",
    kind: "text",
    current: (agent) => agent.model ?? "",
    save: (agent, value, version) =>
      send(
        api.PUT("/api/agents/{name}/model", {
          params: ifStill(agent, version),
          body: { model: value.trim() || null },
        }),
      ),
  },
  {
    label: "Tools",
    hint: "The default of every task, and the most that one may ask for. Enter adds one; none is no bound.",
    pointer: "/tools",
    kind: "list",
    placeholder: "Read",
    current: (agent) => textOfList(agent.tools),
    save: (agent, value, version) =>
      send(
        api.PUT("/api/agents/{name}/tools", {
          params: ifStill(agent, version),
          body: { tools: listOfText(value) },
        }),
      ),
  },
  {
    label: "Autonomy",
    hint: "Whether scheduled work runs.",
    pointer: "/enabled",
    kind: "switch",
    current: (agent) => (agent.autonomy ? "on" : "off"),
    save: (agent, value, version) =>
      send(
        api.PUT("/api/agents/{name}/autonomy", {
          params: ifStill(agent, version),
          body: { enabled: value === "on" },
        }),
      ),
  },
];

/** By what it is found. */
export const FINDING: readonly Setting[] = [
  {
    label: "Tags",
    hint: "Words by which the list of agents can be filtered. Enter adds one; at most 20.",
    pointer: "/tags",
    kind: "list",
    placeholder: "backend",
    current: (agent) => textOfList(agent.tags),
    save: (agent, value, version) =>
      send(
        api.PUT("/api/agents/{name}/tags", {
          params: ifStill(agent, version),
          body: { tags: listOfText(value) },
        }),
      ),
  },
];
