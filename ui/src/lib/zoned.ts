/** A moment as people in a time zone say it. */
export interface Zoned {
  readonly ms: number;
  /** Such as `14:02:11`. */
  readonly time: string;
  /** Such as `21 Nov`. */
  readonly day: string;
  /** Such as `Sat, 21 Nov 2026, 14:02:11.250 CET`. */
  readonly full: string;
  /** Whether another moment is of the same day there. */
  isSameDay(otherMs: number): boolean;
}

interface Formats {
  time: Intl.DateTimeFormat;
  day: Intl.DateTimeFormat;
  full: Intl.DateTimeFormat;
  date: Intl.DateTimeFormat;
}

/** Making a format costs far more than using it. */
const formats = new Map<string, Formats>();

/** The moment in a zone, `local` being that of this machine; null when the text is no moment. */
export function zoned(at: string, zone: string): Zoned | null {
  const ms = Date.parse(at);
  if (Number.isNaN(ms)) return null;
  const { time, day, full, date } = formatsOf(zone);
  return {
    ms,
    // Each only when it is asked for: a log has many moments, and all of them are written at once.
    get time() {
      return time.format(ms);
    },
    get day() {
      return day.format(ms);
    },
    get full() {
      return full.format(ms);
    },
    isSameDay: (otherMs) => date.format(ms) === date.format(otherMs),
  };
}

function formatsOf(zone: string): Formats {
  const known = formats.get(zone);
  if (known) return known;
  const timeZone = zone === "local" ? undefined : zone;
  const format = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat("en-GB", { ...options, timeZone });
  const made: Formats = {
    time: format({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    day: format({ day: "numeric", month: "short" }),
    date: format({ dateStyle: "short" }),
    full: format({
      weekday: "short",
      day: "numeric",
      month: "short",
      year: "numeric",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      fractionalSecondDigits: 3,
      timeZoneName: "short",
    }),
  };
  formats.set(zone, made);
  return made;
}

/** A moment as `<input type="datetime-local">` has it in a zone; empty when it is none. */
export function toZonedInput(value: string | undefined, zone: string): string {
  const ms = value === undefined ? Number.NaN : Date.parse(value);
  if (Number.isNaN(ms)) return "";
  return new Date(ms + offsetMs(ms, zone)).toISOString().slice(0, 16);
}

/** The moment that such an input means in a zone; undefined when it is empty. */
export function fromZoned(input: string, zone: string): string | undefined {
  const asUtc = Date.parse(`${input}Z`);
  if (Number.isNaN(asUtc)) return undefined;
  // The offset is that of the moment itself, which differs from the first guess near a change.
  const guess = asUtc - offsetMs(asUtc, zone);
  return new Date(asUtc - offsetMs(guess, zone)).toISOString();
}

/** How far the clocks of a zone are ahead of UTC at a moment. */
function offsetMs(ms: number, zone: string): number {
  const parts = new Intl.DateTimeFormat("en", {
    timeZone: zone === "local" ? undefined : zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(ms);
  const part = (type: string) => Number(parts.find((candidate) => candidate.type === type)?.value);
  const wall = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return wall - Math.floor(ms / 1_000) * 1_000;
}
