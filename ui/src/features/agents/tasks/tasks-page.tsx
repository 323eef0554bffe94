import { type NavigateOptions, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { DENSITY } from "@/app/preferences";
import { DataTable } from "@/components/data-table/data-table";
import type { DataColumn } from "@/components/data-table/features";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { NewRowsPill } from "@/components/new-rows-pill";
import { SkeletonRows } from "@/components/skeleton-rows";
import { columns as executionColumns } from "@/features/executions/columns";
import type { Execution } from "@/features/executions/fold";
import { useStored } from "@/lib/storage";
import { executionLink } from "../links";
import { useAgent } from "../use-agent";
import { useAgentRuns } from "../use-agent-runs";
import { Composer } from "./composer";
import { RunStatus } from "./run-status";
import { TaskCard } from "./task-card";
import classes from "./tasks.module.css";

/** What is the same for all tasks of an agent, or too much beside the place to write one. */
const LEFT_OUT: ReadonlySet<string | undefined> = new Set(["agent", "tokens"]);

/** The columns of an agent's tasks: those of executions, with a status that leads to what is live. */
const columns: readonly DataColumn<Execution>[] = executionColumns
  .filter(({ id }) => !LEFT_OUT.has(id))
  .map((column) =>
    column.id === "status"
      ? { ...column, cell: ({ row }) => <RunStatus execution={row.original} /> }
      : column,
  );

/** Gives the agent tasks, and shows what became of them. */
export function TasksPage() {
  const agent = useAgent();
  return (
    <div className={classes.page}>
      <Composer key={agent.incarnation} agent={agent} />
      <section className={classes.history} aria-label="Tasks so far">
        <History />
      </section>
    </div>
  );
}

function History() {
  const agent = useAgent();
  const navigate = useNavigate();
  const [density] = useStored(DENSITY);
  const [isAtTop, setAtTop] = useState(true);
  const { query, rows, hasMore, newCount, isStale, showNew } = useAgentRuns(agent);
  // Whoever reads the newest rows sees more of them come; nobody else is moved.
  useEffect(() => {
    if (isAtTop && newCount > 0 && !isStale) showNew();
  });
  if (query.isPending) return <SkeletonRows height={density === "compact" ? 36 : 44} />;
  if (query.isError && rows.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  if (rows.length === 0) {
    return (
      <EmptyState
        title={`${agent.name} has not run anything yet`}
        command={`trinity run ${agent.name} "Summarise the changelog"`}
      >
        Send a task above, and its run appears here as it happens.
      </EmptyState>
    );
  }
  return (
    <>
      <NewRowsPill count={isAtTop ? 0 : newCount} isStale={isStale} onShow={showNew} />
      <DataTable
        label={`Tasks of ${agent.name}, newest first`}
        columns={columns}
        rows={rows}
        getRowId={({ id }) => id}
        renderCard={(execution) => <TaskCard execution={execution} />}
        density={density}
        hasMore={hasMore}
        onNeedMore={() => {
          if (!query.isFetching && !query.isFetchNextPageError) void query.fetchNextPage();
        }}
        onAtTop={setAtTop}
        onOpen={({ id }) => void navigate(executionLink(id) as NavigateOptions)}
      />
    </>
  );
}
