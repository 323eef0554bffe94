import { memo } from "react";
import { SlotBar } from "@/components/slot-bar";
import { agentLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import classes from "./agents.module.css";
import { Avatar } from "./avatar";
import { AgentName, type AgentRow, LatestRun, Model, Toggle } from "./columns";
import { Tags } from "./tags";

/** An agent as a card: on a narrow screen, and where cards are wanted. */
export const AgentCard = memo(function AgentCard({ row }: { row: AgentRow }) {
  const { agent, latest } = row;
  return (
    <div className={classes.card}>
      <div className={classes.line}>
        <span className={classes.named}>
          <Avatar agent={agent} size={20} />
          <AgentName agent={agent} />
        </span>
        <span className={classes.whole}>
          <StatusBadge look={agentLook(agent)} />
        </span>
      </div>
      <div className={classes.line}>
        <SlotBar {...agent.slots} />
        <span className={classes.dim}>
          {agent.runtime} · <Model agent={agent} />
        </span>
      </div>
      <div className={classes.line}>
        <LatestRun latest={latest} />
        <span className={classes.end}>
          <Tags tags={agent.tags} isPlain />
          <Toggle agent={agent} />
        </span>
      </div>
    </div>
  );
});
