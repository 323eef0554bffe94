import { formatCost, formatDuration } from "@/lib/format";
import { firstLine, plainText } from "@/lib/plain-text";
import type { LogEvent } from "@/live/event";
import { shortId } from "./words";

/** How long a summary is at most: more is in the event itself. */
const SUMMARY_CHARS_MAX = 240;

/** What an event says in one line; whatever agents wrote in it is made harmless. */
export function summaryOf(event: LogEvent): string {
  const text = OF_TYPE[event.type]?.(event.data) ?? fields(event.data);
  const line = firstLine(text);
  return line.length > SUMMARY_CHARS_MAX ? `${line.slice(0, SUMMARY_CHARS_MAX)}…` : line;
}

type Data = LogEvent["data"];

const OF_TYPE: Partial<Record<string, (data: Data) => string>> = {
  AgentCreated: ({ config }) => {
    const { runtime, type } = part(config);
    return `${text(type)} on ${text(runtime)}`;
  },
  ExecutionRequested: ({ agent, message, source_agent }) => {
    const from = source_agent ? ` ← ${text(source_agent)}` : "";
    return `${text(agent)}${from}: ${firstLine(text(message))}`;
  },
  ToolCallStarted: ({ name, input_preview }) => `${text(name)} ${firstLine(text(input_preview))}`,
  ToolCallFinished: ({ is_error, duration_ms }) =>
    `${is_error ? "failed" : "ok"} after ${duration(duration_ms)}`,
  ExecutionCompleted: ({ outcome }) => ended(part(outcome)),
  ExecutionFailed: (data) => `${text(data.class)}: ${firstLine(text(data.error))}`,
  ExecutionCancelled: ({ reason, phase }) => `${text(reason)}, ${text(phase)}`,
};

function ended({ response, duration_ms, cost_usd_micros }: Data): string {
  const facts = [duration(duration_ms)];
  if (typeof cost_usd_micros === "number") facts.push(formatCost(cost_usd_micros / 1_000_000));
  return `${facts.join(", ")}: ${firstLine(text(response))}`;
}

/** Every plain value by its name, such as `slot 1 · epoch 2`. */
function fields(data: Data): string {
  const said = Object.entries(data).flatMap(([name, value]) => {
    if (value === null || value === "") return [];
    if (value === false && name.startsWith("is_")) return [];
    if (value === true) return [name.replaceAll("_", " ")];
    if (Array.isArray(value))
      return value.length > 0 ? [`${name} ${value.map(text).join(", ")}`] : [];
    if (typeof value === "object") return [];
    return [`${name.replaceAll("_", " ")} ${typeof value === "string" ? shortId(value) : value}`];
  });
  return said.join(" · ");
}

function part(value: unknown): Data {
  return typeof value === "object" && value !== null ? (value as Data) : {};
}

function text(value: unknown): string {
  return typeof value === "string"
    ? value
    : value === null || value === undefined
      ? "–"
      : String(value);
}

function duration(value: unknown): string {
  return typeof value === "number" ? formatDuration(value) : "–";
}

/** The body of an event for reading: indented, and nothing in it hidden or reordered. */
export function prettyData(data: Data): string {
  return plainText(JSON.stringify(data, null, 2));
}
