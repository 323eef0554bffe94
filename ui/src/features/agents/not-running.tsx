import { Button } from "@mantine/core";
import type { ReactNode } from "react";
import { EmptyState } from "@/components/empty-state";
import type { AgentDetail } from "./fold";
import { useAgentActions } from "./use-agent-actions";

/** What a page shows that needs the agent to run, and the way there. */
export function NotRunning({ agent, children }: { agent: AgentDetail; children: ReactNode }) {
  const actions = useAgentActions(agent);
  return (
    <EmptyState
      title={`${agent.name} is ${agent.phase}`}
      command={`trinity agent start ${agent.name}`}
      actions={
        actions.canStart && (
          <Button loading={actions.isBusy} onClick={actions.start}>
            Start it
          </Button>
        )
      }
    >
      {children}
    </EmptyState>
  );
}
