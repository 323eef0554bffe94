import type { Block, Entry } from "@/features/execution/log/entry";

/** A line of a log, the rest of it as far as a test says. */
export function entry(seq: number, rest: Partial<Entry> = {}): Entry {
  return {
    seq,
    at: new Date(Date.UTC(2026, 10, 21, 9, 0, seq)).toISOString(),
    stream: "stdout",
    kind: "raw",
    blocks: [],
    raw: rest.blocks ? undefined : `line ${seq}`,
    ...rest,
  };
}

/** A call of a tool. */
export function toolCall(id: string, name: string, input: unknown = {}): Block {
  return { type: "tool_use", id, name, input };
}

/** The answer of a tool. */
export function toolResult(id: string, content: string, isError = false): Block {
  return { type: "tool_result", tool_use_id: id, content, is_error: isError };
}
