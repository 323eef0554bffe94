import { Modal } from "@mantine/core";
import { useState } from "react";
import { DataTable } from "@/components/data-table/data-table";
import type { DataColumn } from "@/components/data-table/features";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { Time } from "@/components/time";
import { formatCount } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import type { LogEvent } from "@/live/event";
import classes from "./execution.module.css";
import { clip } from "./log/clip";
import { ClippedText } from "./log/clipped-text";
import { useExecutionEvents } from "./use-execution";

const ALL: readonly string[] = [];

/** How much of an event's body stands in its row. */
const BODY_CHARS = 300;

const columns: readonly DataColumn<LogEvent>[] = [
  {
    id: "recorded_at",
    header: "Recorded",
    meta: { width: "116px" },
    cell: ({ row }) => <Time at={row.original.recorded_at} />,
  },
  {
    id: "position",
    header: "Position",
    meta: { width: "84px", align: "end" },
    cell: ({ row }) => formatCount(row.original.position),
  },
  {
    id: "type",
    header: "Event",
    meta: { width: "176px" },
    cell: ({ row }) => <strong>{row.original.type}</strong>,
  },
  {
    id: "actor",
    header: "Actor",
    meta: { width: "120px" },
    cell: ({ row }) => <span className={classes.dim}>{plainText(row.original.actor)}</span>,
  },
  {
    id: "data",
    header: "Body",
    meta: { width: "minmax(200px, 1fr)" },
    cell: ({ row }) => <Body event={row.original} />,
  },
];

/** Everything that has happened to an execution, as the log has it. */
export function EventsTab({ id }: { id: string }) {
  const { query, events } = useExecutionEvents(id, ALL);
  const [open, setOpen] = useState<LogEvent | null>(null);
  if (query.isPending) return <SkeletonRows />;
  if (query.isError && events.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  if (events.length === 0) {
    return (
      <EmptyState title="No events to show">
        Events are shown to those who may operate the agent.
      </EmptyState>
    );
  }
  return (
    <>
      <DataTable
        label="Events of this execution, oldest first"
        columns={columns}
        rows={events}
        getRowId={({ event_id }) => event_id}
        density="compact"
        onOpen={setOpen}
        hasMore={query.hasNextPage}
        onNeedMore={() => !query.isFetching && void query.fetchNextPage()}
        renderCard={(event) => (
          <div>
            <strong>{event.type}</strong> <Time at={event.recorded_at} />
            <div className={classes.dim}>
              <Body event={event} />
            </div>
          </div>
        )}
      />
      <Modal opened={open !== null} onClose={() => setOpen(null)} title={open?.type} size="lg">
        {open && (
          <div className={classes.json}>
            <ClippedText
              text={JSON.stringify(open, null, 2)}
              name={`event-${open.position}`}
              canCopy
            />
          </div>
        )}
      </Modal>
    </>
  );
}

function Body({ event }: { event: LogEvent }) {
  return (
    <bdi className={classes.dim}>
      {plainText(clip(JSON.stringify(event.data), BODY_CHARS, 1).text)}
    </bdi>
  );
}
