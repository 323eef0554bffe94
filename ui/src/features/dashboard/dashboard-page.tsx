import { ErrorState } from "@/components/error-state";
import { PageHeader } from "@/components/page-header";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { useAgentList } from "@/features/agents/use-agents";
import { formatCount } from "@/lib/format";
import { AgentSlots } from "./agent-slots";
import classes from "./dashboard.module.css";
import { FailuresByCause } from "./failures-by-cause";
import { FirstSteps } from "./first-steps";
import { upAndDown } from "./fleet";
import { FleetTiles } from "./fleet-tiles";
import { RunStrip } from "./run-strip";
import { RunningNow } from "./running-now";
import { barsOf, sumOf } from "./strip";
import { useCounts, useDayBegin, useHistory } from "./use-fleet-numbers";

/** What the fleet does now, and how the last day went. */
export function DashboardPage() {
  const from = useDayBegin();
  const fleet = useAgentList();
  const counts = useCounts();
  const history = useHistory(from);
  const facets = counts.data?.value;
  const buckets = history.data?.value.buckets;
  const day = buckets && sumOf(barsOf(buckets, 1));
  const agents = fleet.query.isSuccess ? upAndDown(fleet.agents) : undefined;
  return (
    <>
      <PageHeader title="Dashboard" />
      <div className={classes.page}>
        <FleetTiles
          from={from}
          numbers={{
            running: facets && (facets.status.running ?? 0),
            queued: facets && (facets.status.pending ?? 0),
            failed: day?.failed,
            cost: day?.cost,
            agentsUp: agents?.up,
            agentsDown: agents?.down,
          }}
        />
        <FirstSteps
          hasAgent={agents && agents.up + agents.down > 0}
          hasRun={facets && facets.total > 0}
        />
        <AgentSlots {...fleet} />
        <div className={classes.columns}>
          <RunningNow count={facets?.status.running} />
          <FailuresByCause from={from} />
        </div>
        <Section
          title="Runs that ended, 24 h"
          actions={day && <span className={classes.all}>{formatCount(day.total)}</span>}
        >
          {history.isPending && <SkeletonRows rows={3} />}
          {history.isError && !buckets && (
            <ErrorState error={history.error} onRetry={() => void history.refetch()} />
          )}
          {buckets && <RunStrip buckets={buckets} />}
        </Section>
      </div>
    </>
  );
}
