import * as v from "valibot";
import type { paths } from "@/api/schema";
import { optionalText, optionalWords } from "@/app/search-params";
import { EXECUTION_STATUSES } from "@/components/status";

/** The ways that executions come about, in the order of the filter. */
export const TRIGGERS = ["manual", "schedule", "mcp", "chat", "paid", "process"] as const;

/** What the API takes to filter a list. */
export type ExecutionsQuery = NonNullable<paths["/api/executions"]["get"]["parameters"]["query"]>;

const amount = v.fallback(v.optional(v.pipe(v.string(), v.regex(/^\d+(\.\d+)?$/))), undefined);
const moment = v.fallback(v.optional(v.pipe(v.string(), v.check(isMoment))), undefined);

/** The address of the list is its filter, in the words of the API; what is not known is dropped. */
export const executionSearch = v.object({
  agent: optionalText,
  status: optionalWords(EXECUTION_STATUSES),
  triggered_by: optionalWords(TRIGGERS),
  from: moment,
  to: moment,
  q: optionalText,
  cost_min: amount,
  cost_max: amount,
});

/** A filter as it stands in an address: alternatives are separated by commas. */
export type ExecutionSearch = v.InferOutput<typeof executionSearch>;

/** The parts of a filter. */
export type FilterName = keyof ExecutionSearch;

/** Whether a filter says anything. */
export function hasFilter(search: ExecutionSearch): boolean {
  return Object.values(search).some((value) => value !== undefined);
}

const RELATIVE = /^-(\d{1,4})([hd])$/;
const HOUR_MS = 3_600_000;

/** Whether a text is a time: RFC 3339, or so many hours or days ago, such as `-24h`. */
export function isMoment(value: string): boolean {
  return RELATIVE.test(value) || !Number.isNaN(Date.parse(value));
}

/** The time that is meant, in milliseconds. */
export function momentMs(value: string, nowMs: number): number {
  const relative = RELATIVE.exec(value);
  if (!relative) return Date.parse(value);
  return nowMs - Number(relative[1]) * (relative[2] === "d" ? 24 : 1) * HOUR_MS;
}

/** The filter as the API takes it. */
export function toQuery(search: ExecutionSearch, nowMs: number): ExecutionsQuery {
  const { from, to, cost_min, cost_max, ...words } = search;
  const time = (value: string | undefined) =>
    value === undefined ? undefined : new Date(momentMs(value, nowMs)).toISOString();
  const dollars = (value: string | undefined) => (value === undefined ? undefined : Number(value));
  return {
    ...words,
    from: time(from),
    to: time(to),
    cost_min: dollars(cost_min),
    cost_max: dollars(cost_max),
  };
}
