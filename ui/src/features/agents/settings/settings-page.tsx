import { Button } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import { api, send } from "@/api/client";
import { Section } from "@/components/section";
import type { AgentDetail } from "../fold";
import { useAgent } from "../use-agent";
import { type Setting, SettingForm } from "./setting-form";
import classes from "./settings.module.css";

const DeleteAgent = lazy(async () => ({
  default: (await import("../delete-agent")).DeleteAgent,
}));

/** What can be set of an agent: each by itself, and only over what one has seen. */
export function SettingsPage() {
  const agent = useAgent();
  return (
    <div className={classes.page}>
      <Section title="Settings">
        {SETTINGS.map((setting) => (
          <SettingForm key={setting.label} agent={agent} setting={setting} />
        ))}
      </Section>
      <DangerZone agent={agent} />
    </div>
  );
}

function DangerZone({ agent }: { agent: AgentDetail }) {
  const [isAsking, setAsking] = useState(false);
  return (
    <Section title="Danger zone">
      <div className={classes.danger}>
        <p>
          {agent.can_delete
            ? "Deleting the agent ends its runs and removes its workspace. Its history stays."
            : agent.is_system
              ? "The server’s own agent cannot be deleted."
              : "Only its owner or an administrator can delete this agent."}
        </p>
        <Button
          variant="outline"
          color="danger"
          disabled={!agent.can_delete}
          onClick={() => setAsking(true)}
        >
          Delete agent
        </Button>
      </div>
      <Suspense>
        {isAsking && <DeleteAgent agent={agent} onClose={() => setAsking(false)} />}
      </Suspense>
    </Section>
  );
}

const params = (agent: AgentDetail, version: string) => ({
  path: { name: agent.name },
  header: { "If-Match": version },
});

const SETTINGS: readonly Setting[] = [
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
          params: params(agent, version),
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
          params: params(agent, version),
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
          params: params(agent, version),
          body: { model: value.trim() || null },
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
          params: params(agent, version),
          body: { enabled: value === "on" },
        }),
      ),
  },
];
