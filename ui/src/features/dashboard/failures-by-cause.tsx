import { Link } from "@tanstack/react-router";
import type { Schemas } from "@/api/client";
import { ErrorState } from "@/components/error-state";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { EXECUTION_STATUS_LOOK, executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import { agentLink, executionLink } from "@/features/agents/links";
import { formatCount } from "@/lib/format";
import { firstLine } from "@/lib/plain-text";
import classes from "./dashboard.module.css";
import { useFailures } from "./use-fleet-numbers";

/** How many causes are shown. */
const SHOWN_MAX = 8;

/** What failed since `from`, the most frequent causes first. */
export function FailuresByCause({ from }: { from: string }) {
  const query = useFailures(from);
  const failures = query.data?.value.failures;
  return (
    <Section
      title="Failures by cause, 24 h"
      actions={
        failures &&
        failures.length > 0 && (
          <Link to="/executions" search={{ status: "failed", from }} className={classes.all}>
            All
          </Link>
        )
      }
    >
      {query.isPending && <SkeletonRows rows={3} />}
      {query.isError && !failures && (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      )}
      {failures?.length === 0 && <p className={classes.none}>Nothing has failed.</p>}
      {failures && failures.length > 0 && (
        <ul className={classes.rows}>
          {failures.slice(0, SHOWN_MAX).map((group) => (
            <FailureRow key={`${group.agent_name} ${group.error_class}`} {...group} from={from} />
          ))}
        </ul>
      )}
    </Section>
  );
}

function FailureRow(props: Schemas["FailureGroup"] & { from: string }) {
  const { error_class, agent_name, count, last_at, last_id, last_error, from } = props;
  const look = executionLook({ ...NO_DETAIL, status: "failed", error_class });
  return (
    <li className={classes.row}>
      <Link
        to="/executions"
        search={{ status: "failed", agent: agent_name, from }}
        className={classes.count}
        aria-label={`${formatCount(count)} failures of ${agent_name}`}
      >
        {formatCount(count)} ×
      </Link>
      <StatusBadge look={{ ...EXECUTION_STATUS_LOOK.failed, word: causeOf(look.word) }} />
      <Link {...agentLink(agent_name)} className={classes.agent}>
        {agent_name}
      </Link>
      <Link {...executionLink(last_id)} className={classes.task}>
        <bdi>{firstLine(last_error ?? "The last of them")}</bdi>
      </Link>
      <span className={classes.numbers}>
        <Time at={last_at} format="age" />
      </span>
    </li>
  );
}

const NO_DETAIL = { queue_position: null, cancel_phase: null, lost_contact_at: null } as const;

/** The cause alone: here everything has failed. */
function causeOf(word: string): string {
  const cause = word.replace(/^Failed: /, "");
  return cause.charAt(0).toUpperCase() + cause.slice(1);
}
