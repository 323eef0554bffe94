import { Button } from "@mantine/core";
import { useState } from "react";
import type { Schemas } from "@/api/client";
import { Section } from "@/components/section";
import { StatusBadge } from "@/components/status-badge";
import { formatCount } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import { modelLook, percentOf } from "./model-state";
import { RebuildDialog } from "./rebuild-dialog";
import classes from "./system.module.css";

interface ReadModelsProps {
  health: Schemas["Health"];
  isAdmin: boolean;
}

/** What pages are answered from, and how far each of it has folded the log in. */
export function ReadModels({ health, isAdmin }: ReadModelsProps) {
  const [rebuilt, setRebuilt] = useState<string | null>(null);
  const { projections, log_position } = health;
  return (
    <Section title="Read models">
      <p className={classes.intro}>
        Pages are answered from these. Each is made of the log alone, so each can be made again.
      </p>
      <ul className={classes.models}>
        {Object.entries(projections).map(([name, model]) => (
          <Model
            key={name}
            name={name}
            model={model}
            head={log_position}
            onRebuild={isAdmin ? () => setRebuilt(name) : undefined}
          />
        ))}
      </ul>
      {rebuilt !== null && (
        <RebuildDialog name={rebuilt} events={log_position} onClose={() => setRebuilt(null)} />
      )}
    </Section>
  );
}

interface ModelProps {
  name: string;
  model: Schemas["ProjectionHealth"];
  head: number;
  onRebuild: (() => void) | undefined;
}

function Model({ name, model, head, onRebuild }: ModelProps) {
  const { position, lag, error, rebuilding, degraded } = model;
  const isRebuilding = rebuilding !== null && rebuilding !== undefined;
  const look = modelLook(model, head);
  const percent = percentOf(isRebuilding ? rebuilding : position, head);
  return (
    <li className={classes.model}>
      <div className={classes.modelLine}>
        <h3 className={classes.modelName}>{name}</h3>
        <StatusBadge look={look} />
        <span className={classes.progress} data-tone={look.tone} aria-hidden>
          <span style={{ width: `${percent}%` }} />
        </span>
        <span className={classes.modelNumbers}>
          {formatCount(position)} of {formatCount(position + lag)}
        </span>
        {onRebuild && (
          <Button
            size="compact-sm"
            variant="default"
            disabled={isRebuilding}
            aria-label={`Rebuild ${name}`}
            onClick={onRebuild}
          >
            Rebuild
          </Button>
        )}
      </div>
      {degraded && (
        <p className={classes.reason}>
          It stands still: <bdi>{plainText(error ?? "no reason is known")}</bdi>
        </p>
      )}
    </li>
  );
}
