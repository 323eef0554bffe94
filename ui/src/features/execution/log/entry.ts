import type { Schemas } from "@/api/client";

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
