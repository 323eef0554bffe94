const HOUR_MS = 3_600_000;

/** How far back charts look. */
export const SPANS = ["24h", "7d", "30d"] as const;

/** One of them. */
export type Span = (typeof SPANS)[number];

/** How far back that is; the current hour or day is one of those shown. */
export const SPAN_MS: Readonly<Record<Span, number>> = {
  "24h": 23 * HOUR_MS,
  "7d": 7 * 24 * HOUR_MS,
  "30d": 29 * 24 * HOUR_MS,
};

/** As people say it. */
export const SPAN_WORD: Readonly<Record<Span, string>> = {
  "24h": "24 hours",
  "7d": "7 days",
  "30d": "30 days",
};

/** By what the time is divided. */
export function bucketOf(span: Span): "hour" | "day" {
  return span === "30d" ? "day" : "hour";
}
