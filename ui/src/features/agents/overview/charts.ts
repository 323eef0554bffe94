import type { Schemas } from "@/api/client";
import type { ChartData } from "@/components/charts/series";
import { formatCost, formatCount, formatDuration } from "@/lib/format";

type Bucket = Schemas["HistoryBucket"];

/** What the history of an agent is drawn as. */
export interface HistoryCharts {
  readonly runs: ChartData;
  readonly cost: ChartData;
  readonly durations: ChartData;
}

/** Draws the history: how runs ended, what they cost, how long they took. */
export function chartsOf(buckets: readonly Bucket[]): HistoryCharts {
  const times = buckets.map(({ start }) => Date.parse(start));
  const count = (key: "completed" | "failed" | "cancelled") => {
    const values = buckets.map((bucket) => bucket[key]);
    return { values, summary: formatCount(sum(values)) };
  };
  const costs = buckets.map(({ cost }) => cost);
  return {
    runs: {
      kind: "bars",
      times,
      series: [
        { label: "Done", tone: "success", ...count("completed") },
        { label: "Failed", tone: "danger", ...count("failed") },
        { label: "Cancelled", tone: "neutral", ...count("cancelled") },
      ],
    },
    cost: {
      kind: "bars",
      times,
      series: [{ label: "Cost", tone: "ink", values: costs, summary: formatCost(sum(costs)) }],
    },
    durations: {
      kind: "line",
      times,
      series: [
        {
          label: "95 of 100 within",
          tone: "ink",
          ...durations(buckets.map(({ duration_p95_ms }) => duration_p95_ms)),
        },
        {
          label: "Half within",
          tone: "ink-dim",
          isDashed: true,
          ...durations(buckets.map(({ duration_p50_ms }) => duration_p50_ms)),
        },
      ],
    },
  };
}

/** The longest of percentiles is a percentile of none, so the newest is what is said. */
function durations(values: readonly (number | null)[]) {
  const newest = values.findLast((value) => value !== null);
  return {
    values,
    summary: newest === undefined || newest === null ? undefined : formatDuration(newest),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
