import { IconLock } from "@tabler/icons-react";
import type { ReactNode } from "react";
import type { AgentDetail } from "../fold";
import classes from "./settings.module.css";

interface OwnersOnlyProps {
  agent: AgentDetail;
  children: ReactNode;
}

/** Fields that everybody sees who may use the agent, and that only its owners can change. */
export function OwnersOnly({ agent, children }: OwnersOnlyProps) {
  if (agent.can_share) return children;
  return (
    <>
      <LookingOnly />
      <fieldset className={classes.closed} disabled aria-label="Settings that you can look at">
        {children}
      </fieldset>
    </>
  );
}

/** Says that one may look, and who may do more. */
export function LookingOnly() {
  return (
    <p className={classes.looking}>
      <IconLock size={16} aria-hidden />
      You can look at this. Its owner or an administrator can change it.
    </p>
  );
}
