import { executionLook } from "@/components/status";
import { triggerText } from "@/features/executions/columns";
import type { Execution } from "@/features/executions/fold";
import { formatCost, formatCount, formatDuration } from "@/lib/format";
import { plainText } from "@/lib/plain-text";

/** A fact of two executions. */
export interface ComparedFact {
  readonly label: string;
  readonly a: string;
  readonly b: string;
  readonly isDifferent: boolean;
}

type Read = (execution: Execution) => string | null;

const FACTS: readonly (readonly [string, Read])[] = [
  ["Status", (it) => executionLook(it).word],
  ["Agent", (it) => it.agent_name],
  ["Trigger", triggerText],
  ["Model", (it) => it.model_used ?? it.model ?? null],
  ["Duration", (it) => (it.duration_ms == null ? null : formatDuration(it.duration_ms))],
  ["Cost", (it) => (it.cost == null ? null : formatCost(it.cost))],
  ["Tokens in", (it) => (it.usage ? formatCount(it.usage.input_tokens) : null)],
  ["Tokens out", (it) => (it.usage ? formatCount(it.usage.output_tokens) : null)],
  ["Turns", (it) => (it.num_turns == null ? null : String(it.num_turns))],
  ["Tool calls", (it) => formatCount(it.tool_call_count)],
  ["Exit code", (it) => (it.exit_code == null ? null : String(it.exit_code))],
  ["Time limit", (it) => (it.timeout_seconds ? formatDuration(it.timeout_seconds * 1_000) : null)],
  ["Tools", (it) => it.allowed_tools?.join(", ") ?? null],
  ["Error", (it) => it.error ?? null],
];

/** The facts of two executions side by side. */
export function compareFacts(a: Execution, b: Execution): readonly ComparedFact[] {
  const shown = (value: string | null) => (value === null ? "–" : plainText(value).slice(0, 400));
  return FACTS.map(([label, read]) => {
    const [left, right] = [read(a), read(b)];
    return { label, a: shown(left), b: shown(right), isDifferent: left !== right };
  });
}
