import { Cost } from "@/components/cost";
import card from "@/components/data-table/list-card.module.css";
import { Duration } from "@/components/duration";
import { executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import { firstLine } from "@/lib/plain-text";
import classes from "./executions.module.css";
import type { Execution } from "./fold";

/** An execution where there is no room for columns. */
export function ExecutionCard({ execution }: { execution: Execution }) {
  return (
    <div className={card.card}>
      <div className={card.line}>
        <StatusBadge look={executionLook(execution)} />
        <Time at={execution.created_at} format="age" />
      </div>
      <bdi className={card.title}>{firstLine(execution.message)}</bdi>
      <div className={card.line}>
        <span className={`${classes.agent} ${card.text}`}>{execution.agent_name}</span>
        <span>
          <Duration ms={execution.duration_ms ?? null} since={execution.started_at ?? null} />
          {" · "}
          <Cost dollars={execution.cost ?? null} />
        </span>
      </div>
    </div>
  );
}
