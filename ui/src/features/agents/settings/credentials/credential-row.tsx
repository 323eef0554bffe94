import { Button } from "@mantine/core";
import type { Schemas } from "@/api/client";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import type { AgentDetail } from "../../fold";
import classes from "../settings.module.css";
import { type CredentialsStatus, credentialLook } from "./credentials";

interface CredentialRowProps {
  credential: Schemas["Credential"];
  status: CredentialsStatus;
  phase: AgentDetail["phase"];
  canChange: boolean;
  onReplace: () => void;
  onRemove: () => void;
}

/** One credential: its name, what it is, whether the agent has it. */
export function CredentialRow(props: CredentialRowProps) {
  const { credential, status, phase, canChange, onReplace, onRemove } = props;
  const { name, kind, updated_at } = credential;
  return (
    <li className={classes.row}>
      <div className={classes.subject}>
        <code>{name}</code>
        <p>
          {kind === "file" ? "File" : "Variable"}, set <Time at={updated_at} format="age" />
        </p>
      </div>
      <span className={classes.state}>
        <StatusBadge look={credentialLook(credential, status, phase)} />
      </span>
      {canChange && (
        <span className={classes.actions}>
          <Button variant="default" size="xs" aria-label={`Replace ${name}`} onClick={onReplace}>
            Replace
          </Button>
          <Button variant="subtle" size="xs" aria-label={`Remove ${name}`} onClick={onRemove}>
            Remove
          </Button>
        </span>
      )}
    </li>
  );
}
