import { Link } from "@tanstack/react-router";
import { ErrorState } from "@/components/error-state";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { SlotBar } from "@/components/slot-bar";
import { agentLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import type { Agent } from "@/features/agents/fold";
import { agentLink } from "@/features/agents/links";
import type { useAgentList } from "@/features/agents/use-agents";
import { formatCount } from "@/lib/format";
import classes from "./dashboard.module.css";
import { shownAgents } from "./fleet";

/** How full each agent is; of a large fleet the busiest. */
export function AgentSlots({ query, agents }: ReturnType<typeof useAgentList>) {
  const { shown, isCut } = shownAgents(agents);
  const all = isCut ? `All ${formatCount(agents.length)} agents` : "All agents";
  return (
    <Section
      title={isCut ? "Slots of the busiest agents" : "Slots"}
      actions={
        agents.length > 0 && (
          <Link to="/agents" className={classes.all}>
            {all}
          </Link>
        )
      }
    >
      {query.isPending && <SkeletonRows rows={2} height={36} />}
      {query.isError && agents.length === 0 && (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      )}
      {query.isSuccess && agents.length === 0 && (
        <p className={classes.none}>There are no agents yet.</p>
      )}
      {shown.length > 0 && (
        <ul className={classes.agents}>
          {shown.map((agent) => (
            <li key={agent.incarnation}>
              <AgentSlot agent={agent} />
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function AgentSlot({ agent }: { agent: Agent }) {
  const isBusy = agent.slots.active > 0 || agent.slots.queued > 0;
  return (
    <Link {...agentLink(agent.name)} className={classes.slotRow}>
      <span className={classes.slotName}>{agent.name}</span>
      {agent.phase === "running" || isBusy ? (
        <SlotBar {...agent.slots} />
      ) : (
        <StatusBadge look={agentLook(agent)} />
      )}
    </Link>
  );
}
