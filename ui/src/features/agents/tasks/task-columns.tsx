import type { DataColumn } from "@/components/data-table/features";
import { LiveBadge } from "@/components/live-badge";
import { executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { columns as executionColumns } from "@/features/executions/columns";
import type { Execution } from "@/features/executions/fold";
import { executionLink } from "../links";

/** What is the same for all tasks of an agent, or too much beside the place to write one. */
const LEFT_OUT: ReadonlySet<string | undefined> = new Set(["agent", "tokens"]);

/** The columns of an agent's tasks: those of executions, with a status that leads to what is live. */
export const columns: readonly DataColumn<Execution>[] = executionColumns
  .filter(({ id }) => !LEFT_OUT.has(id))
  .map((column) =>
    column.id === "status"
      ? { ...column, cell: ({ row }) => <RunStatus execution={row.original} /> }
      : column,
  );

/** The status of a run; what runs undisturbed is live and leads to where one watches it. */
export function RunStatus({ execution }: { execution: Execution }) {
  const { id, status, cancel_phase, lost_contact_at } = execution;
  if (status === "running" && !cancel_phase && !lost_contact_at) {
    return <LiveBadge link={executionLink(id)} />;
  }
  return <StatusBadge look={executionLook(execution)} />;
}
