import { Section } from "@/components/section";
import { useAgent } from "../../use-agent";
import { OwnersOnly } from "../owners-only";
import { SettingForm } from "../setting-form";
import { DangerZone } from "./danger-zone";
import { Picture } from "./picture";
import { FINDING, RUNS } from "./settings";

/** How runs of an agent go, by which words it is found, and its end. */
export function GeneralPage() {
  const agent = useAgent();
  return (
    <OwnersOnly agent={agent}>
      <Section title="Runs">
        {RUNS.map((setting) => (
          <SettingForm key={setting.label} agent={agent} setting={setting} />
        ))}
      </Section>
      <Section title="Known by">
        <Picture agent={agent} />
        {FINDING.map((setting) => (
          <SettingForm key={setting.label} agent={agent} setting={setting} />
        ))}
      </Section>
      <DangerZone agent={agent} />
    </OwnersOnly>
  );
}
