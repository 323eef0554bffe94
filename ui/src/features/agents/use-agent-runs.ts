import type { ExecutionSearch } from "@/features/executions/search";
import { useExecutionList } from "@/features/executions/use-execution-list";
import type { Agent } from "./fold";

/** The executions of an agent in this life of its name, newest first, kept current. */
export function useAgentRuns(agent: Agent) {
  const list = useExecutionList({ agent: agent.name } as ExecutionSearch);
  // Earlier lives come after all of this one.
  const end = list.rows.findIndex(({ incarnation }) => incarnation !== agent.incarnation);
  const rows = end === -1 ? list.rows : list.rows.slice(0, end);
  return { ...list, rows, hasMore: end === -1 && list.query.hasNextPage };
}
