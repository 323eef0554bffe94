import type { Schemas } from "@/api/client";

/** How executions ended within a time. */
export interface StripBar {
  /** When it begins and ends, RFC 3339. */
  readonly from: string;
  readonly to: string;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly total: number;
  readonly cost: number;
}

/** The outcomes of a bar, from its foot up. */
export const OUTCOMES = ["completed", "failed", "cancelled"] as const;

const HOUR_MS = 3_600_000;

/** The bars of a strip, each of `hours` buckets of an hour. */
export function barsOf(buckets: readonly Schemas["HistoryBucket"][], hours: number): StripBar[] {
  const bars: StripBar[] = [];
  for (let index = 0; index < buckets.length; index += hours) {
    const [first, ...rest] = buckets.slice(index, index + hours);
    if (first) bars.push(rest.reduce(joined, barOf(first)));
  }
  return bars;
}

function barOf(bucket: Schemas["HistoryBucket"]): StripBar {
  const { start, completed, failed, cancelled, total, cost } = bucket;
  const to = new Date(Date.parse(start) + HOUR_MS).toISOString();
  return { from: start, to, completed, failed, cancelled, total, cost };
}

function joined(bar: StripBar, bucket: Schemas["HistoryBucket"]): StripBar {
  const next = barOf(bucket);
  return {
    from: bar.from,
    to: next.to,
    completed: bar.completed + next.completed,
    failed: bar.failed + next.failed,
    cancelled: bar.cancelled + next.cancelled,
    total: bar.total + next.total,
    cost: bar.cost + next.cost,
  };
}

/** What all bars are together. */
export function sumOf(bars: readonly StripBar[]): Pick<StripBar, "total" | "failed" | "cost"> {
  return bars.reduce(
    (sum, { total, failed, cost }) => ({
      total: sum.total + total,
      failed: sum.failed + failed,
      cost: sum.cost + cost,
    }),
    { total: 0, failed: 0, cost: 0 },
  );
}

/** What a bar says, in words. */
export function barText({ completed, failed, cancelled, total }: StripBar): string {
  if (total === 0) return "nothing ended";
  const parts = [`${completed} done`];
  if (failed > 0) parts.push(`${failed} failed`);
  if (cancelled > 0) parts.push(`${cancelled} cancelled`);
  return parts.join(", ");
}
