import * as v from "valibot";
import type { paths } from "@/api/schema";
import { optionalText } from "@/app/search-params";
import type { LogEvent } from "@/live/event";

/** What the API takes to read the log. */
export type EventsQuery = NonNullable<paths["/api/events"]["get"]["parameters"]["query"]>;

const position = v.fallback(v.optional(v.pipe(v.string(), v.regex(/^\d{1,15}$/))), undefined);

/** The address of the log is its filter, in the words of the API; `at` is the event that is opened. */
export const eventSearch = v.object({
  stream: optionalText,
  type: optionalText,
  actor: optionalText,
  after: position,
  at: position,
});

/** A filter as it stands in an address: alternatives are separated by commas. */
export type EventSearch = v.InferOutput<typeof eventSearch>;

/** What narrows the log, without where in it one reads. */
export type EventFilter = Pick<EventSearch, "stream" | "type" | "actor">;

/** The filter of an address. */
export function filterOf({ stream, type, actor }: EventSearch): EventFilter {
  return { stream, type, actor };
}

/** Whether a filter says anything. */
export function hasFilter({ stream, type, actor }: EventFilter): boolean {
  return stream !== undefined || type !== undefined || actor !== undefined;
}

/** Whether an event fits a filter, by the rules of the server. */
export function fits(filter: EventFilter, event: LogEvent): boolean {
  const isOneOf = (list: string | undefined, word: string) =>
    list === undefined || list.split(",").some((candidate) => candidate.trim() === word);
  return (
    (filter.stream === undefined || filter.stream === streamOf(event)) &&
    isOneOf(filter.type, event.type) &&
    isOneOf(filter.actor, event.actor)
  );
}

/** The name of the stream of an event, as filters have it. */
export function streamOf({ stream_type, stream_id }: LogEvent): string {
  return `${stream_type}:${stream_id}`;
}

/** Where the server hands out what is shown, as a file of lines. */
export function exportHref(
  { stream, type, actor, after }: EventSearch,
  format: NonNullable<EventsQuery["format"]>,
): string {
  const query = new URLSearchParams({ format });
  for (const [name, value] of Object.entries({ stream, type, actor, after })) {
    if (value !== undefined) query.set(name, value);
  }
  return `/api/events?${query}`;
}
