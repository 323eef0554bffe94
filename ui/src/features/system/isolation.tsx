import { IconAlertTriangle } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import { Section } from "@/components/section";
import { plainText } from "@/lib/plain-text";
import classes from "./system.module.css";

const IN_WORDS: Readonly<Record<string, string>> = {
  container: "Each agent is alone in a container, with no rights but its own.",
  uid: "Each agent has a user of its own on this machine.",
  landlock: "The kernel confines each run to what is its own.",
  none: "Nothing keeps agents apart: their runs may read and change what is another's.",
};

/** What keeps agents apart that are started from now on, and what it lacks. */
export function Isolation({ isolation }: { isolation: Schemas["HostIsolation"] }) {
  const { kind, landlock_abi, shortfall } = isolation;
  const confined =
    landlock_abi === null ? "" : ` Landlock, version ${landlock_abi}, confines what runs reach.`;
  return (
    <Section title="Isolation of agents">
      <div className={classes.isolation}>
        <p>
          {IN_WORDS[kind] ?? kind}
          {kind === "uid" && confined}
        </p>
        {shortfall !== null && (
          <p className={classes.shortfall}>
            <IconAlertTriangle size={16} stroke={1.8} aria-hidden />
            <span>
              <strong>It could be more.</strong> {plainText(shortfall)}
            </span>
          </p>
        )}
      </div>
    </Section>
  );
}
