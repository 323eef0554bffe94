import { useQuery } from "@tanstack/react-query";
import { DataTable } from "@/components/data-table/data-table";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { PageHeader } from "@/components/page-header";
import { SkeletonRows } from "@/components/skeleton-rows";
import { columns } from "@/features/executions/columns";
import { ExecutionCard } from "@/features/executions/execution-card";
import { useLiveHub } from "@/live/context";
import { othersQuery } from "../queries";
import { useExecution } from "../use-execution";

interface PickOtherProps {
  id: string;
  onPick: (id: string) => void;
}

/** The other runs of the same agent, to choose one that the first is compared with. */
export function PickOther({ id, onPick }: PickOtherProps) {
  const hub = useLiveHub();
  const first = useExecution(id);
  const agent = first.data?.value.agent_name ?? "";
  const options = othersQuery(agent, hub.recent.floor);
  const others = useQuery({ ...options, enabled: agent !== "" });
  const failed = [first, others].find((query) => query.isError);
  const rows = others.data?.value.filter((row) => row.id !== id) ?? [];
  return (
    <>
      <PageHeader title={`Compare with which run of ${agent || "this agent"}?`} />
      {failed ? (
        <ErrorState error={failed.error} onRetry={() => void failed.refetch()} />
      ) : !others.data ? (
        <SkeletonRows />
      ) : rows.length === 0 ? (
        <EmptyState title="There is no other run of this agent">
          Run it again, and compare the two.
        </EmptyState>
      ) : (
        <DataTable
          label="Runs of the same agent, newest first"
          columns={columns}
          rows={rows}
          getRowId={(row) => row.id}
          renderCard={(row) => <ExecutionCard execution={row} />}
          onOpen={(row) => onPick(row.id)}
        />
      )}
    </>
  );
}
