import type { Schemas } from "@/api/client";

/** An event of the log, as `/api/events` and the stream have it. */
export type LogEvent = Omit<Schemas["Event"], "data"> & {
  readonly data: Readonly<Record<string, unknown>>;
};
