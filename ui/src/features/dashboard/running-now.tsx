import { Link } from "@tanstack/react-router";
import { Cost } from "@/components/cost";
import { Duration } from "@/components/duration";
import { ErrorState } from "@/components/error-state";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { agentLink, executionLink } from "@/features/agents/links";
import type { Execution } from "@/features/executions/fold";
import { formatCount } from "@/lib/format";
import { firstLine } from "@/lib/plain-text";
import classes from "./dashboard.module.css";
import { useRunning } from "./use-fleet-numbers";

/** How many of them are shown; the list of executions has the rest. */
const SHOWN_MAX = 8;

/** What runs at the moment, as it goes on. */
export function RunningNow({ count }: { count: number | undefined }) {
  const query = useRunning();
  const rows = query.data?.value.rows;
  const total = Math.max(count ?? 0, rows?.length ?? 0);
  return (
    <Section
      title="Running now"
      actions={
        total > SHOWN_MAX && (
          <Link to="/executions" search={{ status: "running" }} className={classes.all}>
            All {formatCount(total)}
          </Link>
        )
      }
    >
      <div className={classes.calm}>
        {query.isPending && <SkeletonRows rows={3} />}
        {query.isError && !rows && (
          <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        )}
        {rows?.length === 0 && <p className={classes.none}>Nothing runs at the moment.</p>}
        {rows && rows.length > 0 && (
          <ul className={classes.rows}>
            {rows.slice(0, SHOWN_MAX).map((execution) => (
              <RunningRow key={execution.id} execution={execution} />
            ))}
          </ul>
        )}
      </div>
    </Section>
  );
}

function RunningRow({ execution }: { execution: Execution }) {
  const { id, agent_name, message, started_at, duration_ms, cost } = execution;
  return (
    <li className={classes.row}>
      <StatusBadge look={executionLook(execution)} />
      <Link {...agentLink(agent_name)} className={classes.agent}>
        {agent_name}
      </Link>
      <Link {...executionLink(id)} className={classes.task}>
        <bdi>{firstLine(message)}</bdi>
      </Link>
      <span className={classes.numbers}>
        <Duration ms={duration_ms ?? null} since={started_at ?? null} />
        <Cost dollars={cost ?? null} />
      </span>
    </li>
  );
}
