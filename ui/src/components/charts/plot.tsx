import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useEffectEvent, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { TIME_ZONE } from "@/app/preferences";
import { useStored } from "@/lib/storage";
import { zoned } from "@/lib/zoned";
import { type ChartData, drawnValues, timeRange, valueRange } from "./series";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const AXIS_FONT = '11px "Inter Variable", system-ui, sans-serif';

export interface PlotProps {
  data: ChartData;
  height: number;
  format: (value: number) => string;
  /** Tells which time the pointer is at; null when it is at none. */
  onPoint: (index: number | null) => void;
  onPick?: (index: number) => void;
}

/** The drawing of a chart: what it says is also in its legend and in its table. */
export function Plot({ data, height, format, onPoint, onPick }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [zone] = useStored(TIME_ZONE);
  // The canvas knows no variables: with another scheme it is drawn anew.
  const scheme = useComputedColorScheme("light");
  const shape = JSON.stringify([data.kind, data.series.map((one) => [one.tone, one.isDashed])]);
  const point = useEffectEvent(onPoint);
  const pick = useEffectEvent((index: number) => onPick?.(index));
  const make = useEffectEvent((element: HTMLElement) => {
    const options = optionsOf(data, { element, height, zone, format });
    const made = new uPlot(options, aligned(data), element);
    made.over.addEventListener("mousemove", () => point(made.cursor.idx ?? null));
    made.over.addEventListener("mouseleave", () => point(null));
    made.over.addEventListener("click", () => {
      if (typeof made.cursor.idx === "number") pick(made.cursor.idx);
    });
    return made;
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: drawn anew with another look
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = make(element);
    plot.current = made;
    const resized = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, scheme, zone, height]);
  useEffect(() => {
    plot.current?.setData(aligned(data));
  }, [data]);
  return <div ref={place} style={{ height }} data-pickable={onPick !== undefined || undefined} />;
}

/** What is above covers what is below, so the highest bars are drawn first. */
function aligned(data: ChartData): uPlot.AlignedData {
  return [[...data.times], ...drawnValues(data).reverse()];
}

interface Look {
  element: HTMLElement;
  height: number;
  zone: string;
  format: (value: number) => string;
}

function optionsOf(data: ChartData, { element, height, zone, format }: Look): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (token: string) => style.getPropertyValue(`--${token}`).trim();
  const axis: uPlot.Axis = {
    stroke: colour("ink-dim"),
    font: AXIS_FONT,
    grid: { stroke: colour("hairline"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height,
    ms: 1,
    legend: { show: false },
    padding: [8, 20, 0, 0],
    cursor: { y: false, drag: { x: false, y: false, setScale: false } },
    scales: {
      x: { time: true, range: (self) => rangeOf(self, data.kind) },
      y: { range: (self) => valueRange(self.data.slice(1) as (number | null)[][]) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 72,
        size: 28,
        values: (_, splits) => splits.map((ms) => momentLabel(ms, splits, zone)),
      },
      {
        ...axis,
        space: 32,
        size: 52,
        incrs: isWhole(data) ? WHOLE_STEPS : undefined,
        values: (_, splits) => splits.map(format),
      },
    ],
    series: [{}, ...data.series.map((one) => seriesOf(data, one, colour)).reverse()],
  };
}

function rangeOf(plot: uPlot, kind: ChartData["kind"]): [number, number] {
  return timeRange({ kind, times: [...plot.data[0]], series: [] });
}

function seriesOf(
  data: ChartData,
  { label, tone, isDashed }: ChartData["series"][number],
  colour: (token: string) => string,
): uPlot.Series {
  const stroke = colour(tone);
  switch (data.kind) {
    case "bars":
      return {
        label,
        fill: stroke,
        points: { show: false },
        paths: uPlot.paths.bars?.({ size: [0.78, 28], align: 1, radius: 0.1 }),
      };
    case "steps":
      return {
        label,
        stroke,
        width: 1.5,
        dash: isDashed ? [4, 4] : undefined,
        points: { show: false },
        paths: uPlot.paths.stepped?.({ align: 1 }),
      };
    case "line":
      return {
        label,
        stroke,
        width: 1.5,
        dash: isDashed ? [4, 4] : undefined,
        points: { size: 4, fill: stroke },
      };
  }
}

/** From one label to the next where halves mean nothing, such as of runs. */
const WHOLE_STEPS = Array.from({ length: 10 }, (_, power) =>
  [1, 2, 5].map((step) => step * 10 ** power),
).flat();

function isWhole({ series }: ChartData): boolean {
  return series.every(({ values }) => values.every((value) => Number.isInteger(value ?? 0)));
}

/**
 * The time of day, with seconds where labels are that close; the day, where a day or more lies
 * between two labels.
 */
function momentLabel(ms: number, splits: readonly number[], zone: string): string {
  const moment = zoned(new Date(ms).toISOString(), zone);
  if (!moment) return "";
  const [first, second] = splits;
  const apartMs = first === undefined || second === undefined ? 0 : second - first;
  if (apartMs >= DAY_MS) return moment.day;
  return apartMs >= MINUTE_MS ? moment.time.slice(0, 5) : moment.time;
}
