import { structuredPatch } from "diff";

/** A change of a file, as a tool call asks for it. */
export interface FileChange {
  readonly path: string;
  readonly added: number;
  readonly removed: number;
  readonly lines: readonly DiffLine[];
  /** Whether the change is larger than what is shown of it. */
  readonly isCut: boolean;
}

/** A line of a change. */
export interface DiffLine {
  readonly sign: "+" | "-" | " " | "@";
  readonly text: string;
}

/** How many lines of a change are shown. */
const DIFF_LINES_MAX = 400;

/** What is longer is shown as it was given: comparing it would take too long. */
const DIFF_CHARS_MAX = 200_000;

/** How long a comparison may take. */
const DIFF_MS_MAX = 40;

type Fields = Readonly<Record<string, unknown>>;

/** What a call of `Edit`, `MultiEdit` or `Write` changes; null for other tools, or too much of it. */
export function fileChange(name: string, input: unknown): FileChange | null {
  if (typeof input !== "object" || input === null) return null;
  const fields = input as Fields;
  const path = text(fields.file_path) ?? text(fields.path) ?? "";
  const pairs = changedPairs(name, fields);
  if (pairs.length === 0) return null;
  const lines: DiffLine[] = [];
  for (const [before, after] of pairs) {
    const compared = compare(path, before, after);
    if (compared === null) return null;
    lines.push(...compared);
  }
  return {
    path,
    added: lines.filter(({ sign }) => sign === "+").length,
    removed: lines.filter(({ sign }) => sign === "-").length,
    lines: lines.slice(0, DIFF_LINES_MAX),
    isCut: lines.length > DIFF_LINES_MAX,
  };
}

function changedPairs(name: string, fields: Fields): (readonly [string, string])[] {
  switch (name) {
    case "Write":
      return pair("", fields.content);
    case "Edit":
      return pair(fields.old_string, fields.new_string);
    case "MultiEdit": {
      const edits = Array.isArray(fields.edits) ? (fields.edits as Fields[]) : [];
      return edits.flatMap((edit) => pair(edit?.old_string, edit?.new_string));
    }
    default:
      return [];
  }
}

function pair(before: unknown, after: unknown): (readonly [string, string])[] {
  const [from, to] = [text(before), text(after)];
  return from === null || to === null ? [] : [[from, to]];
}

function compare(path: string, before: string, after: string): DiffLine[] | null {
  if (before.length + after.length > DIFF_CHARS_MAX) return null;
  const options = { context: 3, timeout: DIFF_MS_MAX };
  const patch = structuredPatch(path, path, before, after, undefined, undefined, options);
  if (!patch) return null;
  return patch.hunks.flatMap((hunk, index) => [
    ...(index === 0 ? [] : [{ sign: "@", text: "…" } as const]),
    ...hunk.lines.flatMap(diffLine),
  ]);
}

function diffLine(line: string): DiffLine[] {
  const sign = line[0];
  // What begins otherwise says that there is no line feed at the end.
  if (sign !== "+" && sign !== "-" && sign !== " ") return [];
  return [{ sign, text: line.slice(1) }];
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
