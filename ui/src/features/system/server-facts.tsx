import { Link } from "@tanstack/react-router";
import type { Schemas } from "@/api/client";
import { CopyButton } from "@/components/copy-button";
import { Properties } from "@/components/properties";
import { Section } from "@/components/section";
import { Time } from "@/components/time";
import { formatCount } from "@/lib/format";
import classes from "./system.module.css";

/** What this server is. */
export function ServerFacts({ health }: { health: Schemas["Health"] }) {
  const { version, node_id, agent_host, log_position, timestamp } = health;
  return (
    <Section title="Server" actions={<AsOf at={timestamp} />}>
      <div className={classes.facts}>
        <Properties
          items={[
            { name: "Version", value: version },
            { name: "Log, last position", value: <LogHead position={log_position} /> },
            { name: "Agents live in", value: agent_host },
            { name: "Node", value: <Node id={node_id} /> },
          ]}
        />
      </div>
    </Section>
  );
}

function AsOf({ at }: { at: string }) {
  return (
    <span className={classes.asOf}>
      as of <Time at={at} format="time" />
    </span>
  );
}

function LogHead({ position }: { position: number }) {
  return <Link to="/events">{formatCount(position)}</Link>;
}

function Node({ id }: { id: string }) {
  return (
    <span className={classes.node}>
      <code className={classes.nodeId}>{id}</code>
      <CopyButton text={id} label="Copy the node's id" />
    </span>
  );
}
