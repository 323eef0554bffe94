import * as v from "valibot";

/** A part of an address that may be any text, or missing. */
export const optionalText = v.fallback(v.optional(v.string()), undefined);

/**
 * Reads the query of an address: every value stays a text, as the API takes it.
 *
 * Pages validate it with a schema of their own and drop what they do not know.
 */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

/** Writes a query that people can read; what is empty is left out. */
export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  }
  // Commas separate alternatives, and need no escape in a query.
  const text = params.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text && `?${text}`;
}

/** Words separated by commas, in an address; those that are not known are dropped. */
export function optionalWords(known: readonly string[]) {
  const keep = (list: string) => list.split(",").filter((word) => known.includes(word));
  const pipe = v.pipe(
    v.string(),
    v.transform((list) => keep(list).join(",") || undefined),
  );
  return v.fallback(v.optional(pipe), undefined);
}

/** The alternatives of one part of a filter. */
export function alternatives(list: string | undefined): string[] {
  return list ? list.split(",") : [];
}
