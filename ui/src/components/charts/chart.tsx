import { UnstyledButton } from "@mantine/core";
import { type LinkProps, type NavigateOptions, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useId, useState } from "react";
import { ErrorBoundary } from "@/components/error-boundary";
import classes from "./chart.module.css";
import { ChartTable } from "./chart-table";
import { type ChartData, type ChartSeries, hasValues } from "./series";

const Plot = lazy(async () => ({ default: (await import("./plot")).Plot }));

interface ChartProps {
  title: string;
  data: ChartData;
  /** Writes a value as the legend, the axis and the table have it. */
  format: (value: number) => string;
  /** What is said in the middle of the axes when there is nothing to draw. */
  empty: string;
  /** The height of the drawing in pixels. */
  height?: number;
  /** Where the numbers of one time lead to. */
  linkOf?: (index: number) => LinkProps;
}

/**
 * Numbers over time: a drawing, a legend in words that follows the pointer, and the same as a table.
 *
 * What draws is loaded when the first chart is shown; the room for it is there before.
 */
export function Chart({ title, data, format, empty, height = 168, linkOf }: ChartProps) {
  const id = useId();
  const navigate = useNavigate();
  const [isTable, setTable] = useState(false);
  const [pointed, setPointed] = useState<number | null>(null);
  const isEmpty = !hasValues(data);
  const pick = linkOf && ((index: number) => void navigate(linkOf(index) as NavigateOptions));
  return (
    <figure className={classes.chart} aria-labelledby={id}>
      <figcaption className={classes.caption}>
        <h3 id={id} className={classes.title}>
          {title}
        </h3>
        <UnstyledButton
          className={classes.toggle}
          aria-pressed={isTable}
          aria-label={`Show ${title} as a table`}
          onClick={() => setTable(!isTable)}
        >
          Table
        </UnstyledButton>
      </figcaption>
      <ul className={classes.legend}>
        {data.series.map((series) => (
          <LegendEntry
            key={series.label}
            series={series}
            format={format}
            pointed={isTable ? null : pointed}
          />
        ))}
      </ul>
      {isTable ? (
        <ChartTable title={title} data={data} format={format} height={height} linkOf={linkOf} />
      ) : (
        <div className={classes.drawing} style={{ height }}>
          <ErrorBoundary>
            <Suspense>
              <div aria-hidden>
                <Plot
                  data={data}
                  height={height}
                  format={format}
                  onPoint={setPointed}
                  onPick={pick}
                />
              </div>
            </Suspense>
          </ErrorBoundary>
          {isEmpty && <p className={classes.empty}>{empty}</p>}
        </div>
      )}
    </figure>
  );
}

interface LegendEntryProps {
  series: ChartSeries;
  format: (value: number) => string;
  pointed: number | null;
}

function LegendEntry({ series, format, pointed }: LegendEntryProps) {
  const value = pointed === null ? null : (series.values[pointed] ?? null);
  const text = pointed === null ? series.summary : value === null ? "–" : format(value);
  return (
    <li className={classes.entry}>
      <span
        className={classes.swatch}
        data-dashed={series.isDashed || undefined}
        style={{ "--tone": `var(--${series.tone})` } as React.CSSProperties}
        aria-hidden
      />
      {series.label}
      {text !== undefined && <span className={classes.value}>{text}</span>}
    </li>
  );
}
