import { Button } from "@mantine/core";
import { DENSITY } from "@/app/preferences";
import { DataTable } from "@/components/data-table/data-table";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { formatCount } from "@/lib/format";
import { useStored } from "@/lib/storage";
import { columns, EventCard } from "./columns";
import classes from "./events.module.css";
import { type EventFilter, hasFilter } from "./search";
import type { useEventLog } from "./use-event-log";

interface EventListProps {
  filter: EventFilter;
  /** The position that was asked for; null at the end of the log. */
  goTo: number | null;
  log: ReturnType<typeof useEventLog>;
  onOpen: (position: number) => void;
  onClear: () => void;
}

/** The rows of the log, or why there are none. */
export function EventList({ filter, goTo, log, onOpen, onClear }: EventListProps) {
  const { query, rows } = log;
  const [density] = useStored(DENSITY);
  const lookEarlier = () => {
    if (!query.isFetching && !query.isFetchPreviousPageError) void query.fetchPreviousPage();
  };
  if (query.isPending) return <SkeletonRows height={density === "compact" ? 36 : 44} />;
  if (query.isError && rows.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  if (rows.length === 0) {
    const lookedBackTo = query.hasPreviousPage ? query.data?.pages[0]?.value.after : undefined;
    return (
      <NothingFits
        isFiltered={hasFilter(filter)}
        goTo={goTo}
        lookedBackTo={lookedBackTo}
        onEarlier={() => void query.fetchPreviousPage()}
        onClear={onClear}
      />
    );
  }
  return (
    <DataTable
      label="Events, oldest first"
      columns={columns}
      rows={rows}
      getRowId={({ position }) => String(position)}
      renderCard={(event) => <EventCard event={event} />}
      density={density}
      selected={goTo === null ? undefined : new Set([String(goTo)])}
      onOpen={({ position }) => onOpen(position)}
      isFollowing={log.isFollowing && log.isAtHead}
      onAtEnd={(isAtEnd) => log.setFollowing(isAtEnd && log.isAtHead)}
      hasEarlier={query.hasPreviousPage}
      onNeedEarlier={lookEarlier}
      hasMore={query.hasNextPage}
      onNeedMore={() => {
        if (!query.isFetching && !query.isFetchNextPageError) void query.fetchNextPage();
      }}
      footer={
        query.isFetchNextPageError && (
          <ErrorState error={query.error} onRetry={() => void query.fetchNextPage()} />
        )
      }
    />
  );
}

interface NothingFitsProps {
  isFiltered: boolean;
  goTo: number | null;
  lookedBackTo: number | undefined;
  onEarlier: () => void;
  onClear: () => void;
}

function NothingFits(props: NothingFitsProps) {
  const { isFiltered, goTo, lookedBackTo, onEarlier, onClear } = props;
  const where =
    lookedBackTo !== undefined
      ? `Looked back to position ${formatCount(lookedBackTo)}; there may be some before it.`
      : "Take away a part of the filter above, or all of it.";
  if (!isFiltered && goTo === null) {
    return (
      <EmptyState title="Nothing has happened yet" command="trinity agent create scout">
        The first thing that you do is the first event.
      </EmptyState>
    );
  }
  return (
    <EmptyState
      title={goTo === null ? "No events match" : `Nothing from position ${formatCount(goTo)} on`}
      actions={
        <>
          {lookedBackTo !== undefined && (
            <Button variant="default" onClick={onEarlier}>
              Look further back
            </Button>
          )}
          <Button variant="default" onClick={onClear}>
            {isFiltered ? "Clear the filter" : "Show the end of the log"}
          </Button>
        </>
      }
    >
      <span className={classes.dim}>{where}</span>
    </EmptyState>
  );
}
