import type { Stored } from "@/lib/storage";

/** The time zones that pages can show: of this machine, UTC, or one by its name. */
export const TIME_ZONE: Stored<string> = {
  key: "time-zone",
  parse: (stored) => (typeof stored === "string" && isZone(stored) ? stored : "local"),
};

/** Whether single keys do something. */
export const SHORTCUTS: Stored<"on" | "off"> = {
  key: "shortcuts",
  parse: (stored) => (stored === "off" ? "off" : "on"),
};

/** How much room a row of a list takes. */
export const DENSITY: Stored<"compact" | "cosy"> = {
  key: "density",
  parse: (stored) => (stored === "compact" ? "compact" : "cosy"),
};

function isZone(name: string): boolean {
  if (name === "local") return true;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
