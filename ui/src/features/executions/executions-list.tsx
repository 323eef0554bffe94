import { Button } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { DENSITY } from "@/app/preferences";
import { DataTable } from "@/components/data-table/data-table";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { NextPage } from "@/components/next-page";
import { SkeletonRows } from "@/components/skeleton-rows";
import { type Stored, useStored } from "@/lib/storage";
import { columns } from "./columns";
import { ExecutionCard } from "./execution-card";
import type { Execution } from "./fold";
import { matches } from "./matches";
import { type ExecutionSearch, hasFilter } from "./search";
import { SelectionBar } from "./selection-bar";
import type { useExecutionList } from "./use-execution-list";

interface ExecutionsListProps {
  search: ExecutionSearch;
  list: ReturnType<typeof useExecutionList>;
  hidden: Stored<readonly string[]>;
  onClear: () => void;
  onAtTop: (isAtTop: boolean) => void;
}

/** The rows of the list, or why there are none. */
export function ExecutionsList({ search, list, hidden, onClear, onAtTop }: ExecutionsListProps) {
  const { query, rows } = list;
  const [density] = useStored(DENSITY);
  const [hiddenIds] = useStored(hidden);
  const hiddenSet = useMemo(() => new Set(hiddenIds), [hiddenIds]);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const navigate = useNavigate();
  const open = useCallback(
    ({ id }: Execution) => void navigate({ to: "/executions/$id", params: { id } }),
    [navigate],
  );
  const toggle = useCallback(
    ({ id }: Execution) => setSelected((before) => toggled(before, id)),
    [],
  );

  if (query.isPending) return <SkeletonRows height={density === "compact" ? 36 : 44} />;
  if (query.isError && rows.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  // A page may be empty and still lead to a next one, where the server looks through many rows.
  if (rows.length === 0 && !query.hasNextPage) {
    return hasFilter(search) ? <NothingFits onClear={onClear} /> : <NothingYet />;
  }
  return (
    <>
      <DataTable
        label="Executions, newest first"
        columns={columns}
        rows={rows}
        getRowId={({ id }) => id}
        renderCard={renderCard}
        density={density}
        hidden={hiddenSet}
        selected={selected}
        onToggle={toggle}
        onOpen={open}
        isFaint={(execution) => !matches(search, execution, Date.now())}
        hasMore={query.hasNextPage}
        onNeedMore={() => {
          if (!query.isFetching && !query.isFetchNextPageError) void query.fetchNextPage();
        }}
        onAtTop={onAtTop}
        footer={
          <NextPage query={query} isLastEmpty={query.data?.pages.at(-1)?.value.rows.length === 0} />
        }
      />
      {selected.size > 0 && (
        <SelectionBar selected={selected} rows={rows} onClear={() => setSelected(new Set())} />
      )}
    </>
  );
}

const renderCard = (execution: Execution) => <ExecutionCard execution={execution} />;

function NothingFits({ onClear }: { onClear: () => void }) {
  return (
    <EmptyState
      title="No executions match"
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

function NothingYet() {
  return (
    <EmptyState title="Nothing has run yet" command='trinity run scout "Summarise the changelog"'>
      Give an agent a task, and its run appears here as it happens.
    </EmptyState>
  );
}

function toggled(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(id)) next.add(id);
  return next;
}
