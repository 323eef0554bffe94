import { useMemo } from "react";
import { useServerNow } from "@/components/clock";
import { DataTable } from "@/components/data-table/data-table";
import type { DataColumn } from "@/components/data-table/features";
import { Duration } from "@/components/duration";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { Time } from "@/components/time";
import type { Execution } from "@/features/executions/fold";
import { formatCount } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import { useExecutionEvents } from "../use-execution";
import { lanesOf, type Span, spansOf, TIMELINE_EVENTS } from "./spans";
import classes from "./timeline.module.css";

const columns: readonly DataColumn<Span>[] = [
  {
    id: "start",
    header: "Began",
    meta: { width: "116px" },
    cell: ({ row }) => <Time at={new Date(row.original.startMs).toISOString()} format="time" />,
  },
  {
    id: "label",
    header: "What",
    meta: { width: "160px" },
    cell: ({ row }) => <strong>{plainText(row.original.label)}</strong>,
  },
  {
    id: "detail",
    header: "Detail",
    meta: { width: "minmax(160px, 1fr)" },
    cell: ({ row }) => <bdi className={classes.detail}>{plainText(row.original.detail)}</bdi>,
  },
  {
    id: "outcome",
    header: "Outcome",
    meta: { width: "88px" },
    cell: ({ row }) => outcome(row.original),
  },
  {
    id: "duration",
    header: "Duration",
    meta: { width: "88px", align: "end" },
    cell: ({ row }) => <Took span={row.original} />,
  },
];

/** What an execution spent its time with: drawn, and as a table. */
export function Timeline({ execution }: { execution: Execution }) {
  const { query, events } = useExecutionEvents(execution.id, TIMELINE_EVENTS);
  const spans = useMemo(() => spansOf(execution, events), [execution, events]);
  if (query.isPending) return <SkeletonRows height={28} />;
  if (query.isError && events.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  const recorded = spans.filter(({ kind }) => kind === "tool").length;
  return (
    <>
      <Chart spans={spans} isOpen={execution.completed_at === null} />
      {execution.tool_call_count > recorded && (
        <p className={classes.more}>
          {formatCount(execution.tool_call_count - recorded)} more tool calls are in the transcript
          alone.
        </p>
      )}
      <DataTable
        label="Timeline, in the order of the beginnings"
        columns={columns}
        rows={spans}
        getRowId={({ id }) => id}
        density="compact"
        renderCard={(span) => (
          <div>
            <strong>{plainText(span.label)}</strong> <Took span={span} /> {outcome(span)}
            <div className={classes.detail}>{plainText(span.detail)}</div>
          </div>
        )}
      />
    </>
  );
}

function Chart({ spans, isOpen }: { spans: readonly Span[]; isOpen: boolean }) {
  const now = useServerNow(isOpen);
  const lanes = lanesOf(spans, now);
  return (
    // The table that follows says the same in words.
    <div className={classes.chart} aria-hidden>
      {lanes.map((lane) => (
        <div key={lane.name} className={classes.lane}>
          <span className={classes.name}>
            {plainText(lane.name)}
            {lane.count > 1 && <span className={classes.count}> ×{formatCount(lane.count)}</span>}
          </span>
          <span className={classes.track}>
            {lane.bars.map((bar) => (
              <span
                key={bar.id}
                className={classes.bar}
                data-kind={lane.kind}
                data-error={bar.isError || undefined}
                style={{ left: `${bar.from * 100}%`, width: `${(bar.to - bar.from) * 100}%` }}
              />
            ))}
          </span>
        </div>
      ))}
    </div>
  );
}

function Took({ span }: { span: Span }) {
  const since = new Date(span.startMs).toISOString();
  return <Duration ms={span.endMs === null ? null : span.endMs - span.startMs} since={since} />;
}

function outcome({ isError, endMs }: Span): string {
  if (isError) return "Error";
  return endMs === null ? "Goes on" : "";
}
