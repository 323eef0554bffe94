import { diffArrays, diffLines } from "diff";
import type { LogEvent } from "@/live/event";

/** A line of a comparison: of both, or of one of the two alone. */
export interface Change {
  readonly side: "both" | "a" | "b";
  readonly text: string;
}

/** How much of two responses is compared. */
const COMPARED_CHARS_MAX = 200_000;

/** How long a comparison may take; then everything counts as different. */
const COMPARE_MS_MAX = 200;

/** How many lines alike in a row are shown around what differs. */
const CONTEXT_LINES = 3;

/** The tool calls of a run, one line each, as its events tell them. */
export function callLines(events: readonly LogEvent[]): string[] {
  return events
    .filter(({ type }) => type === "ToolCallStarted")
    .map(({ data }) => `${data.name} ${data.input_preview ?? ""}`.trim());
}

/** Where two sequences of lines differ. */
export function compareLines(a: readonly string[], b: readonly string[]): readonly Change[] {
  const parts = diffArrays([...a], [...b], { timeout: COMPARE_MS_MAX });
  if (!parts) return [...of("a", a), ...of("b", b)];
  return parts.flatMap(({ added, removed, value }) => of(sideOf(added, removed), value));
}

/** Where two texts differ, line by line. */
export function compareTexts(a: string, b: string): readonly Change[] {
  const [left, right] = [a.slice(0, COMPARED_CHARS_MAX), b.slice(0, COMPARED_CHARS_MAX)];
  const parts = diffLines(left, right, { timeout: COMPARE_MS_MAX });
  if (!parts) return [...of("a", lines(left)), ...of("b", lines(right))];
  return parts.flatMap(({ added, removed, value }) => of(sideOf(added, removed), lines(value)));
}

/** A comparison with what is alike folded: a number stands for so many lines. */
export function folded(changes: readonly Change[]): readonly (Change | number)[] {
  const near = new Uint8Array(changes.length);
  changes.forEach(({ side }, index) => {
    if (side === "both") return;
    near.fill(1, Math.max(0, index - CONTEXT_LINES), index + CONTEXT_LINES + 1);
  });
  const result: (Change | number)[] = [];
  changes.forEach((change, index) => {
    if (near[index]) result.push(change);
    else if (typeof result.at(-1) === "number")
      result[result.length - 1] = Number(result.at(-1)) + 1;
    else result.push(1);
  });
  return result;
}

function of(side: Change["side"], texts: readonly string[]): Change[] {
  return texts.map((text) => ({ side, text }));
}

function sideOf(added: boolean | undefined, removed: boolean | undefined): Change["side"] {
  return added ? "b" : removed ? "a" : "both";
}

function lines(text: string): string[] {
  if (text === "") return [];
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
}
