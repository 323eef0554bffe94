import { Button } from "@mantine/core";
import { lazy, type ReactNode, Suspense, useState } from "react";
import { Section } from "@/components/section";
import { useSession } from "@/features/auth/session";
import type { AgentDetail } from "../../fold";
import classes from "../settings.module.css";

const DeleteAgent = lazy(async () => ({
  default: (await import("../../delete-agent")).DeleteAgent,
}));

const Reinitialize = lazy(async () => ({
  default: (await import("./reinitialize")).Reinitialize,
}));

/** What cannot be undone: an agent is deleted, the server's own is built anew. */
export function DangerZone({ agent }: { agent: AgentDetail }) {
  const [asked, setAsked] = useState<"delete" | "reinitialize" | null>(null);
  const isAdmin = useSession().value.role === "admin";
  const close = () => setAsked(null);
  return (
    <Section title="Danger zone">
      {agent.is_system ? (
        <Danger action="Reinitialize" isAllowed={isAdmin} onAsk={() => setAsked("reinitialize")}>
          {isAdmin
            ? "The server’s own agent is not deleted. It can be built anew: what runs is cancelled, its workspace begins again."
            : "Only an administrator can build the server’s own agent anew."}
        </Danger>
      ) : (
        <Danger action="Delete agent" isAllowed={agent.can_delete} onAsk={() => setAsked("delete")}>
          {agent.can_delete
            ? "Deleting the agent ends its runs and removes its workspace. Its history stays."
            : "Only its owner or an administrator can delete this agent."}
        </Danger>
      )}
      <Suspense>
        {asked === "delete" && <DeleteAgent agent={agent} onClose={close} />}
        {asked === "reinitialize" && <Reinitialize agent={agent} onClose={close} />}
      </Suspense>
    </Section>
  );
}

interface DangerProps {
  action: string;
  isAllowed: boolean;
  onAsk: () => void;
  children: ReactNode;
}

function Danger({ action, isAllowed, onAsk, children }: DangerProps) {
  return (
    <div className={classes.danger}>
      <p>{children}</p>
      <Button variant="outline" color="danger" disabled={!isAllowed} onClick={onAsk}>
        {action}
      </Button>
    </div>
  );
}
