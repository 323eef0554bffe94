import { SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Chart } from "@/components/charts/chart";
import { ErrorState } from "@/components/error-state";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { formatCost, formatCount, formatDuration } from "@/lib/format";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveRefresh } from "@/live/hooks";
import type { AgentDetail } from "../fold";
import { historyQuery } from "../queries";
import { chartsOf } from "./charts";
import classes from "./overview.module.css";
import { SlotsOverTime } from "./slots-over-time";
import { SPAN_WORD, SPANS, type Span } from "./spans";

/** What gives a slot back, or a place in the queue: a run has ended. */
const ENDS = new Set(["SlotReleased", "SlotExpired", "ExecutionDequeued"]);

/** How the runs of an agent went, hour by hour or day by day. */
export function History({ agent }: { agent: AgentDetail }) {
  const [span, setSpan] = useState<Span>("24h");
  return (
    <Section
      title={`The last ${SPAN_WORD[span]}`}
      actions={
        <SegmentedControl
          size="xs"
          aria-label="How far back"
          data={SPANS.map((value) => ({ value, label: value }))}
          value={span}
          onChange={(value) => setSpan(SPANS.find((known) => known === value) ?? "24h")}
        />
      }
    >
      <Charts agent={agent} span={span} />
    </Section>
  );
}

function Charts({ agent, span }: { agent: AgentDetail; span: Span }) {
  const hub = useLiveHub();
  const options = historyQuery(agent.name, span, hub.recent.floor);
  const query = useQuery(options);
  useLiveRefresh(
    options.queryKey,
    query.data,
    ({ type, stream_id }: LogEvent) => stream_id === agent.incarnation && ENDS.has(type),
  );
  const buckets = query.data?.value.buckets;
  const charts = useMemo(() => (buckets ? chartsOf(buckets) : null), [buckets]);
  if (query.isPending) return <SkeletonRows rows={4} height={56} />;
  if (!charts) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  const empty = "No runs in this time";
  return (
    <div className={classes.charts}>
      <Chart title="Runs" data={charts.runs} format={formatCount} empty={empty} />
      <Chart title="Cost" data={charts.cost} format={formatCost} empty={empty} />
      <Chart title="Duration" data={charts.durations} format={formatDuration} empty={empty} />
      <SlotsOverTime agent={agent} span={span} />
    </div>
  );
}
