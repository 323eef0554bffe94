import { Button } from "@mantine/core";
import { useMemo } from "react";
import { DENSITY } from "@/app/preferences";
import { DataTable } from "@/components/data-table/data-table";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { useStored } from "@/lib/storage";
import { AgentCard } from "./agent-card";
import { AgentCards } from "./agent-cards";
import { type AgentRow, columns } from "./columns";
import type { Agent } from "./fold";
import type { useAgents } from "./use-agents";

interface AgentsListProps {
  list: ReturnType<typeof useAgents>;
  /** Those that fit the filter. */
  shown: readonly Agent[];
  view: "table" | "cards";
  onCreate: () => void;
  onClear: () => void;
  onOpen: (name: string) => void;
}

/** The agents, or why there are none. */
export function AgentsList(props: AgentsListProps) {
  const { list, shown, view, onCreate, onClear, onOpen } = props;
  const { query, agents, latest } = list;
  const [density] = useStored(DENSITY);
  const rows = useMemo<AgentRow[]>(
    () => shown.map((agent) => ({ agent, latest: latest[agent.name] ?? null })),
    [shown, latest],
  );
  const needMore = () => {
    if (!query.isFetching && !query.isFetchNextPageError) void query.fetchNextPage();
  };

  if (query.isPending) return <SkeletonRows height={density === "compact" ? 36 : 44} />;
  if (query.isError && agents.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  if (agents.length === 0) return <NoAgents onCreate={onCreate} />;
  if (rows.length === 0 && !query.hasNextPage) return <NothingFits onClear={onClear} />;
  if (view === "cards") {
    return <AgentCards rows={rows} hasMore={query.hasNextPage} onNeedMore={needMore} />;
  }
  return (
    <DataTable
      label="Agents, newest first"
      columns={columns}
      rows={rows}
      getRowId={({ agent }) => agent.incarnation}
      renderCard={(row) => <AgentCard row={row} />}
      density={density}
      onOpen={({ agent }) => onOpen(agent.name)}
      hasMore={query.hasNextPage}
      onNeedMore={needMore}
    />
  );
}

function NoAgents({ onCreate }: { onCreate: () => void }) {
  return (
    <EmptyState
      title="There are no agents yet"
      command="trinity agent create scout --runtime demo"
      actions={<Button onClick={onCreate}>Create the first agent</Button>}
    >
      An agent is a CLI with a workspace of its own. Create one and give it a task.
    </EmptyState>
  );
}

function NothingFits({ onClear }: { onClear: () => void }) {
  return (
    <EmptyState
      title="No agents match"
      actions={
        <Button variant="default" onClick={onClear}>
          Clear the filter
        </Button>
      }
    >
      Take away a part of the filter above, or all of it.
    </EmptyState>
  );
}
