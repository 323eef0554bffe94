import type { Schemas } from "@/api/client";
import { formatBytes, formatCount } from "@/lib/format";

/** A line of a run, as the API has it. */
export type Entry = Schemas["Entry"];

/** A piece of a line. */
export type Block = Schemas["Block"];

/** Whether a line tells of a failure: standard error, or a tool that failed. */
export function isFailure({ kind, blocks }: Entry): boolean {
  return (
    kind === "stderr" || blocks.some((block) => block.type === "tool_result" && block.is_error)
  );
}

/** A line as a terminal would have it: as it was printed, or the texts of its blocks. */
export function lineText({ raw, blocks }: Entry): string {
  return raw ?? blocks.map(blockText).join("\n");
}

/** What was left out before a line, in words; null when nothing was. */
export function droppedText({ dropped }: Entry): string | null {
  if (!dropped) return null;
  const noun = dropped.lines === 1 ? "line" : "lines";
  const size = formatBytes(dropped.bytes);
  return `… ${formatCount(dropped.lines)} ${noun} left out here, ${size}: the run printed too much`;
}

/** What of a line itself was left out, in words; null when nothing was. */
export function truncatedText({ truncated }: Entry): string | null {
  if (truncated == null) return null;
  return `… this line goes on: of its ${formatBytes(truncated)} only the beginning was kept`;
}

/** A line for a file: what was printed, and what is missing around it. */
export function savedText(entry: Entry): string {
  const texts = [droppedText(entry), lineText(entry), truncatedText(entry)];
  return texts.filter((text) => text !== null).join("\n");
}

function blockText(block: Block): string {
  switch (block.type) {
    case "tool_use":
      return `→ ${block.name} ${JSON.stringify(block.input)}`;
    case "tool_result":
      return block.is_error ? `✗ ${block.content}` : block.content;
    default:
      return block.text;
  }
}

const TELLING = ["command", "file_path", "path", "pattern", "url", "query", "description"];

/** The one argument of a tool call that says most, else all of them. */
export function inputPreview(input: unknown): string {
  if (typeof input !== "object" || input === null) return input === null ? "" : String(input);
  const fields = input as Record<string, unknown>;
  const told = TELLING.map((name) => fields[name]).find((value) => typeof value === "string");
  if (typeof told === "string") return told;
  return Object.keys(fields).length === 0 ? "" : JSON.stringify(input);
}

/** How many lines a text has; nothing has none. */
export function lineCount(text: string): number {
  if (text === "") return 0;
  let count = text.endsWith("\n") ? 0 : 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}
