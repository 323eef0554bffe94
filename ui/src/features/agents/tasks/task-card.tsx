import { Link } from "@tanstack/react-router";
import { Cost } from "@/components/cost";
import card from "@/components/data-table/list-card.module.css";
import { Duration } from "@/components/duration";
import { Time } from "@/components/time";
import type { Execution } from "@/features/executions/fold";
import { firstLine } from "@/lib/plain-text";
import { executionLink } from "../links";
import { RunStatus } from "./run-status";
import classes from "./tasks.module.css";

/** A task where there is no room for columns. */
export function TaskCard({ execution }: { execution: Execution }) {
  return (
    <div className={card.card}>
      <div className={card.line}>
        <RunStatus execution={execution} />
        <Time at={execution.created_at} format="age" />
      </div>
      <Link {...executionLink(execution.id)} className={`${classes.message} ${card.title}`}>
        <bdi>{firstLine(execution.message)}</bdi>
      </Link>
      <div className={card.line}>
        <span>{execution.model_used ?? execution.model ?? ""}</span>
        <span>
          <Duration ms={execution.duration_ms ?? null} since={execution.started_at ?? null} />
          {" · "}
          <Cost dollars={execution.cost ?? null} />
        </span>
      </div>
    </div>
  );
}
