import type { Execution } from "@/features/executions/fold";
import type { LogEvent } from "@/live/event";

/** The events that a timeline is made of. */
export const TIMELINE_EVENTS = [
  "ExecutionRequested",
  "ExecutionStarted",
  "SessionBound",
  "ToolCallStarted",
  "ToolCallFinished",
  "CancelRequested",
  "InterruptSent",
  "KillSent",
  "ContactLost",
  "ContactRegained",
] as const;

/** Something that took a while, or happened at a moment. */
export interface Span {
  readonly id: string;
  /** Spans of one lane are drawn beside each other. */
  readonly lane: string;
  readonly label: string;
  readonly detail: string;
  readonly kind: "queue" | "start" | "run" | "tool" | "stop" | "lost";
  readonly startMs: number;
  /** When it ended; null while it goes on. */
  readonly endMs: number | null;
  readonly isError: boolean;
}

/** What an execution spent its time with, in the order of the beginnings. */
export function spansOf(execution: Execution, events: readonly LogEvent[]): readonly Span[] {
  const endMs = parse(execution.completed_at);
  const spans = [
    ...phases(execution, events, endMs),
    ...toolCalls(events, endMs),
    ...stops(events, endMs),
    ...contacts(events, endMs),
  ];
  return spans.sort((a, b) => a.startMs - b.startMs);
}

function phases(execution: Execution, events: readonly LogEvent[], endMs: number | null): Span[] {
  const createdMs = Date.parse(execution.created_at);
  const startedMs = parse(execution.started_at);
  const bound = events.find(({ type }) => type === "SessionBound");
  const spans: Span[] = [
    span("queue", "Queue", { kind: "queue", startMs: createdMs, endMs: startedMs ?? endMs }),
  ];
  if (startedMs === null) return spans;
  spans.push(span("run", "Run", { kind: "run", startMs: startedMs, endMs }));
  if (bound) {
    const boundMs = Math.max(startedMs, Date.parse(bound.recorded_at));
    spans.push(span("start", "Start", { kind: "start", startMs: startedMs, endMs: boundMs }));
  }
  return spans;
}

function toolCalls(events: readonly LogEvent[], endMs: number | null): Span[] {
  const open = new Map<string, Span>();
  const done: Span[] = [];
  for (const { type, data, position, recorded_at } of events) {
    const call = String(data.tool_call_id);
    const atMs = Date.parse(String(data.at ?? recorded_at));
    if (type === "ToolCallStarted") {
      const name = String(data.name);
      const detail = String(data.input_preview ?? "");
      open.set(call, span(`tool-${position}`, name, { kind: "tool", startMs: atMs, detail }));
    } else if (type === "ToolCallFinished") {
      const started = open.get(call);
      if (started) done.push({ ...started, endMs: atMs, isError: data.is_error === true });
      open.delete(call);
    }
  }
  // A call without an end was cut off by that of the run.
  return [...done, ...[...open.values()].map((started) => ({ ...started, endMs }))];
}

const STOP_LABEL: Readonly<Record<string, string>> = {
  CancelRequested: "Stop requested",
  InterruptSent: "SIGINT",
  KillSent: "SIGKILL",
};

function stops(events: readonly LogEvent[], endMs: number | null): Span[] {
  const steps = events.filter(({ type }) => type in STOP_LABEL);
  const startOf = ({ data, recorded_at }: LogEvent) => Date.parse(String(data.at ?? recorded_at));
  return steps.map((event, index) => {
    const next = steps[index + 1];
    const label = STOP_LABEL[event.type] ?? event.type;
    return span(`stop-${event.position}`, label, {
      kind: "stop",
      lane: "Stop",
      startMs: startOf(event),
      endMs: next ? startOf(next) : endMs,
      detail: event.data.by ? `by ${event.data.by}` : "",
    });
  });
}

function contacts(events: readonly LogEvent[], endMs: number | null): Span[] {
  const spans: Span[] = [];
  for (const { type, data, position, recorded_at } of events) {
    if (type === "ContactLost") {
      const startMs = Date.parse(String(data.since ?? recorded_at));
      spans.push(span(`lost-${position}`, "No contact", { kind: "lost", startMs, endMs }));
    } else if (type === "ContactRegained") {
      const last = spans.pop();
      if (last) spans.push({ ...last, endMs: Date.parse(String(data.at ?? recorded_at)) });
    }
  }
  return spans;
}

function span(id: string, label: string, rest: Partial<Span> & Pick<Span, "kind" | "startMs">) {
  return { id, lane: label, label, detail: "", endMs: null, isError: false, ...rest };
}

function parse(at: string | null | undefined): number | null {
  return at ? Date.parse(at) : null;
}

/** The bars of a lane, those too close to be told apart drawn as one. */
export interface Lane {
  readonly name: string;
  readonly kind: Span["kind"];
  readonly count: number;
  readonly bars: readonly Bar[];
}

/** A bar, from and to in parts of the whole (0 to 1). */
export interface Bar {
  readonly id: string;
  readonly from: number;
  readonly to: number;
  readonly isError: boolean;
  readonly isOpen: boolean;
}

/** How many lanes are drawn; the table below has everything. */
export const LANES_MAX = 16;

/** Bars nearer to each other than this part of the whole are one. */
const GAP_MIN = 0.001;

/** The lanes of a timeline that ends at `nowMs` while it goes on. */
export function lanesOf(spans: readonly Span[], nowMs: number): readonly Lane[] {
  const startMs = spans.reduce((least, span) => Math.min(least, span.startMs), nowMs);
  const endMs = spans.reduce((most, span) => Math.max(most, span.endMs ?? nowMs), startMs + 1);
  const at = (ms: number) => Math.min(1, Math.max(0, (ms - startMs) / (endMs - startMs)));
  const byLane = new Map<string, Span[]>();
  for (const span of spans) {
    const own = byLane.get(span.lane) ?? [];
    own.push(span);
    byLane.set(span.lane, own);
  }
  const lanes = [...byLane].map(([name, own]) => ({
    name,
    kind: own[0]?.kind ?? "tool",
    count: own.length,
    bars: joined(
      own.map((span) => ({
        id: span.id,
        from: at(span.startMs),
        to: at(span.endMs ?? nowMs),
        isError: span.isError,
        isOpen: span.endMs === null,
      })),
    ),
  }));
  return lanes.slice(0, LANES_MAX);
}

function joined(bars: readonly Bar[]): readonly Bar[] {
  const result: Bar[] = [];
  for (const bar of bars) {
    const last = result.at(-1);
    if (last && bar.from - last.to < GAP_MIN && bar.isError === last.isError && !last.isOpen) {
      result[result.length - 1] = {
        ...last,
        to: Math.max(last.to, bar.to),
        isOpen: last.isOpen || bar.isOpen,
      };
    } else result.push(bar);
  }
  return result;
}
