import type { DataColumn } from "@/components/data-table/features";
import card from "@/components/data-table/list-card.module.css";
import { Time } from "@/components/time";
import type { LogEvent } from "@/live/event";
import { Actor, EventPosition, EventStream, EventType } from "./event-parts";
import classes from "./events.module.css";
import { summaryOf } from "./summary";

/** The columns of the log. */
export const columns: readonly DataColumn<LogEvent>[] = [
  {
    id: "position",
    header: "Position",
    meta: { width: "92px", align: "end" },
    cell: ({ row }) => <EventPosition position={row.original.position} />,
  },
  {
    id: "recorded_at",
    header: "Recorded",
    meta: { width: "124px" },
    cell: ({ row }) => <Time at={row.original.recorded_at} />,
  },
  {
    id: "type",
    header: "Type",
    meta: { width: "196px" },
    cell: ({ row }) => <EventType event={row.original} />,
  },
  {
    id: "stream",
    header: "Stream",
    meta: { width: "192px" },
    cell: ({ row }) => <EventStream event={row.original} />,
  },
  {
    id: "actor",
    header: "Actor",
    meta: { width: "136px" },
    cell: ({ row }) => <Actor actor={row.original.actor} />,
  },
  {
    id: "summary",
    header: "What it says",
    meta: { width: "minmax(220px, 1fr)" },
    cell: ({ row }) => <bdi className={classes.dim}>{summaryOf(row.original)}</bdi>,
  },
];

/** An event where there is no room for columns. */
export function EventCard({ event }: { event: LogEvent }) {
  return (
    <div className={card.card}>
      <div className={card.line}>
        <EventType event={event} />
        <EventPosition position={event.position} />
      </div>
      <bdi className={card.text}>{summaryOf(event)}</bdi>
      <div className={card.line}>
        <EventStream event={event} />
        <Time at={event.recorded_at} />
      </div>
    </div>
  );
}
