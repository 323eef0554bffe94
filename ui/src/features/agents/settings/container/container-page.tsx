import { Section } from "@/components/section";
import type { AgentDetail } from "../../fold";
import { useAgent } from "../../use-agent";
import { OwnersOnly } from "../owners-only";
import { saveResources } from "../save";
import { type Setting, SettingForm } from "../setting-form";
import classes from "../settings.module.css";
import { Capabilities } from "./capabilities";

/** What the container of an agent is held to; in force from its next start on. */
export function ContainerPage() {
  const agent = useAgent();
  return (
    <OwnersOnly agent={agent}>
      <Section title="Limits">
        {isProcess(agent) && (
          <p className={classes.hint}>
            This agent lives as a process of the server’s machine. Limits and capabilities are those
            of containers, and are refused here.
          </p>
        )}
        {LIMITS.map((setting) => (
          <SettingForm key={setting.label} agent={agent} setting={setting} />
        ))}
      </Section>
      <Capabilities agent={agent} />
    </OwnersOnly>
  );
}

/** Whether an agent is known to live outside of a container. */
function isProcess({ isolation }: AgentDetail): boolean {
  return isolation !== null && isolation !== "container";
}

const LIMITS: readonly Setting[] = [
  {
    label: "Memory",
    hint: "With a unit, such as 2g. Empty is the server’s own limit.",
    pointer: "/memory",
    kind: "text",
    current: (agent) => agent.resources.memory ?? "",
    save: (agent, value, version) =>
      saveResources(agent, { memory: value.trim() || null }, version),
  },
  {
    label: "Processors",
    hint: "A decimal number, such as 1.5. Empty is the server’s own limit.",
    pointer: "/cpu",
    kind: "text",
    current: (agent) => agent.resources.cpu ?? "",
    save: (agent, value, version) => saveResources(agent, { cpu: value.trim() || null }, version),
  },
];
