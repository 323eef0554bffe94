import { alternatives } from "@/app/search-params";
import type { Execution } from "./fold";
import { type ExecutionSearch, momentMs } from "./search";

/** Whether an execution fits a filter, by the rules of the server. */
export function matches(search: ExecutionSearch, row: Execution, nowMs: number): boolean {
  const isOneOf = (list: string | undefined, value: string) =>
    list === undefined || alternatives(list).includes(value);
  const createdMs = Date.parse(row.created_at);
  return (
    isOneOf(search.agent, row.agent_name) &&
    isOneOf(search.status, row.status) &&
    isOneOf(search.triggered_by, row.triggered_by) &&
    (search.from === undefined || createdMs >= momentMs(search.from, nowMs)) &&
    (search.to === undefined || createdMs < momentMs(search.to, nowMs)) &&
    (search.cost_min === undefined || (row.cost ?? -1) >= Number(search.cost_min)) &&
    (search.cost_max === undefined ||
      (row.cost !== null && row.cost !== undefined && row.cost <= Number(search.cost_max))) &&
    (search.q === undefined || hasWords(row.message, search.q))
  );
}

/** Whether a text has every word of another, whole and without regard to case. */
function hasWords(text: string, wanted: string): boolean {
  const words = new Set(wordsOf(text));
  return wordsOf(wanted).every((word) => words.has(word));
}

/** Runs of letters and digits, and every other sign by itself. */
function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+|[^\p{L}\p{N}\s]/gu) ?? [];
}
