import { Link, type LinkProps } from "@tanstack/react-router";
import { Time } from "@/components/time";
import classes from "./chart.module.css";
import type { ChartData } from "./series";

/** How many rows are shown; the newest of them. */
const ROWS_MAX = 500;

interface ChartTableProps {
  title: string;
  data: ChartData;
  format: (value: number) => string;
  height: number;
  linkOf: ((index: number) => LinkProps) | undefined;
}

/** What a chart draws, in numbers: newest first. */
export function ChartTable({ title, data, format, height, linkOf }: ChartTableProps) {
  const { times, series } = data;
  const newest = times.map((ms, index) => ({ ms, index })).slice(-ROWS_MAX);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
    <section className={classes.scroller} style={{ height }} tabIndex={0} aria-label={title}>
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {series.map(({ label }) => (
              <th key={label} scope="col" data-align="end">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {newest.reverse().map(({ ms, index }) => {
            const time = <Time at={new Date(ms).toISOString()} />;
            return (
              <tr key={ms}>
                <th scope="row">{linkOf ? <Link {...linkOf(index)}>{time}</Link> : time}</th>
                {series.map(({ label, values }) => {
                  const value = values[index] ?? null;
                  return (
                    <td key={label} data-align="end">
                      {value === null ? "–" : format(value)}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
