import type { Tone } from "@/components/status";

/** One row of numbers of a chart. */
export interface ChartSeries {
  /** What is counted, as the legend and the table call it. */
  readonly label: string;
  /** The token of its colour: a status, or ink for what is no status. */
  readonly tone: Tone | "ink" | "ink-dim";
  /** One for each time; null where there is nothing to show. */
  readonly values: readonly (number | null)[];
  /** Told from another line of the same chart without its colour. */
  readonly isDashed?: boolean;
  /** What the legend says of the whole, such as a sum, while nothing is pointed at. */
  readonly summary?: string;
}

/** How values are drawn: joined, held until the next, or as bars that stand on one another. */
export type ChartKind = "line" | "steps" | "bars";

/** Numbers over time. */
export interface ChartData {
  readonly kind: ChartKind;
  /** Milliseconds since 1970, rising; of buckets their beginnings. */
  readonly times: readonly number[];
  readonly series: readonly ChartSeries[];
}

/** Whether there is anything to draw; a bar of no height is not. */
export function hasValues({ kind, series }: ChartData): boolean {
  return series.some(({ values }) =>
    values.some((value) => value !== null && (kind !== "bars" || value !== 0)),
  );
}

/**
 * The rows as they are drawn. Bars stand on those of the series before, so that each is the sum of
 * itself and of those: drawn from the highest to the lowest, which cover one another.
 */
export function drawnValues({ kind, series }: ChartData): (number | null)[][] {
  const rows = series.map(({ values }) => [...values]);
  if (kind !== "bars") return rows;
  const sums: (number | null)[][] = [];
  for (const row of rows) {
    const below = sums.at(-1);
    sums.push(row.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)));
  }
  return sums;
}

/** From where to where the axis of time reaches: a bar is as wide as its bucket. */
export function timeRange({ kind, times }: ChartData): [number, number] {
  const first = times[0] ?? 0;
  const last = times.at(-1) ?? first;
  return [first, kind === "bars" ? last + bucketMs(times) : Math.max(last, first + 1)];
}

function bucketMs(times: readonly number[]): number {
  const [first, second] = times;
  return first === undefined || second === undefined ? 1 : second - first;
}

/** From where to where the axis of values reaches: from nothing to a little above the highest. */
export function valueRange(rows: readonly (readonly (number | null)[])[]): [number, number] {
  let highest = 0;
  for (const row of rows) for (const value of row) highest = Math.max(highest, value ?? 0);
  return [0, highest === 0 ? 1 : highest * 1.08];
}
