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
  const lookOn = () => {
    if (!query.isFetching && !query.isFetchNextPageError) void query.fetchNextPage();
  };
  if (query.isPending) return <SkeletonRows height={density === "compact" ? 36 : 44} />;
  if (query.isError && rows.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  if (rows.length === 0) {
    const pages = query.data?.pages;
    const lookedBackTo = query.hasPreviousPage ? pages?.[0]?.value.after : undefined;
    const lookedOnTo = query.hasNextPage ? pages?.at(-1)?.value.until : undefined;
    return (
      <NothingFits
        isFiltered={hasFilter(filter)}
        goTo={goTo}
        lookedBackTo={lookedBackTo}
        lookedOnTo={lookedOnTo}
        onEarlier={lookEarlier}
        onMore={lookOn}
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
      onNeedMore={lookOn}
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
  /** Where looking back stopped before the beginning of the log. */
  lookedBackTo: number | undefined;
  /** Where looking on stopped before the end of the log. */
  lookedOnTo: number | undefined;
  onEarlier: () => void;
  onMore: () => void;
  onClear: () => void;
}

function NothingFits(props: NothingFitsProps) {
  const { isFiltered, goTo, lookedBackTo, lookedOnTo } = props;
  if (!isFiltered && goTo === null) {
    return (
      <EmptyState title="Nothing has happened yet" command="trinity agent create scout">
        The first thing that you do is the first event.
      </EmptyState>
    );
  }
  return (
    <EmptyState
      title={titleOf(props)}
      actions={
        <>
          {lookedBackTo !== undefined && (
            <Button variant="default" onClick={props.onEarlier}>
              Look further back
            </Button>
          )}
          {lookedOnTo !== undefined && (
            <Button variant="default" onClick={props.onMore}>
              Look further on
            </Button>
          )}
          <Button variant="default" onClick={props.onClear}>
            {isFiltered ? "Clear the filter" : "Show the end of the log"}
          </Button>
        </>
      }
    >
      <span className={classes.dim}>{whereLooked(props)}</span>
    </EmptyState>
  );
}

/** What is known to be empty: only what was looked through. */
function titleOf({ goTo, lookedBackTo = 0, lookedOnTo }: NothingFitsProps): string {
  if (lookedOnTo !== undefined) {
    const [from, to] = [formatCount(lookedBackTo + 1), formatCount(lookedOnTo)];
    return `Nothing between position ${from} and ${to} fits`;
  }
  return goTo === null ? "No events match" : `Nothing from position ${formatCount(goTo)} on`;
}

function whereLooked({ lookedBackTo, lookedOnTo }: NothingFitsProps): string {
  const before = lookedBackTo !== undefined && formatCount(lookedBackTo);
  const after = lookedOnTo !== undefined && formatCount(lookedOnTo);
  const said = [
    before && `Looked back to position ${before}; there may be some before it.`,
    after && `Looked on to position ${after}; there may be some after it.`,
  ].filter(Boolean);
  return said.join(" ") || "Take away a part of the filter above, or all of it.";
}
