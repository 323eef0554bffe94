import type { Schemas } from "@/api/client";
import type { ChartData } from "@/components/charts/series";
import type { LogEvent } from "@/live/event";
import { slotsAfter } from "../fold";

/** How full an agent was, step by step. */
export type SlotHistory = Schemas["SlotHistory"];

/** How many steps are kept, as many as the server gives. */
export const POINTS_MAX = 2_000;

/** Adds what happened to the slots of a life since; the same object when nothing has. */
export function applyToSlots(
  incarnation: string,
  history: SlotHistory,
  events: readonly LogEvent[],
): SlotHistory {
  const points = [...history.points];
  for (const event of events) {
    if (event.stream_type !== "slots" || event.stream_id !== incarnation) continue;
    const last = points.at(-1) ?? { active: 0, queued: 0, max: history.max_parallel_tasks };
    const { active, queued, max } = last;
    const before = { active, queued, max };
    const after = slotsAfter(before, event);
    if (after !== before) points.push({ at: event.recorded_at, ...after });
  }
  if (points.length === history.points.length) return history;
  const max_parallel_tasks = points.at(-1)?.max ?? history.max_parallel_tasks;
  const isOver = points.length > POINTS_MAX;
  return {
    ...history,
    max_parallel_tasks,
    points: isOver ? points.slice(-POINTS_MAX) : points,
    is_cut: history.is_cut || isOver,
  };
}

/** Draws the steps; the last one holds until now. */
export function slotsChart({ points }: SlotHistory, nowMs: number): ChartData {
  const last = points.at(-1);
  const lastMs = last ? Date.parse(last.at) : nowMs;
  const steps = last
    ? [...points, { ...last, at: new Date(Math.max(lastMs, nowMs)).toISOString() }]
    : [];
  const rowOf = (key: "active" | "queued" | "max") => steps.map((point) => point[key]);
  return {
    kind: "steps",
    times: steps.map(({ at }) => Date.parse(at)),
    series: [
      { label: "Taken", tone: "active", values: rowOf("active"), summary: text(last?.active) },
      {
        label: "Waiting",
        tone: "attention",
        isDashed: true,
        values: rowOf("queued"),
        summary: text(last?.queued),
      },
      {
        label: "Slots",
        tone: "ink-dim",
        isDashed: true,
        values: rowOf("max"),
        summary: text(last?.max),
      },
    ],
  };
}

function text(count: number | undefined): string | undefined {
  return count === undefined ? undefined : String(count);
}
