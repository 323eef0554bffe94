import { Link } from "@tanstack/react-router";
import { Cost } from "@/components/cost";
import type { DataColumn } from "@/components/data-table/features";
import { Duration } from "@/components/duration";
import { LiveBadge } from "@/components/live-badge";
import { executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import { triggerText } from "@/features/executions/columns";
import type { Execution } from "@/features/executions/fold";
import { firstLine } from "@/lib/plain-text";
import { executionLink } from "../links";
import classes from "./tasks.module.css";

/** The columns of an agent's tasks. */
export const columns: readonly DataColumn<Execution>[] = [
  {
    id: "status",
    header: "Status",
    meta: { width: "148px" },
    cell: ({ row }) => <RunStatus execution={row.original} />,
  },
  {
    id: "created_at",
    header: "Created",
    meta: { width: "116px" },
    cell: ({ row }) => <Time at={row.original.created_at} />,
  },
  {
    id: "message",
    header: "Task",
    meta: { width: "minmax(184px, 1fr)" },
    cell: ({ row }) => (
      <Link {...executionLink(row.original.id)} className={classes.message} tabIndex={-1}>
        <bdi>{firstLine(row.original.message)}</bdi>
      </Link>
    ),
  },
  {
    id: "trigger",
    header: "Trigger",
    meta: { width: "92px" },
    cell: ({ row }) => <span className={classes.dim}>{triggerText(row.original)}</span>,
  },
  {
    id: "model",
    header: "Model",
    meta: { width: "104px" },
    cell: ({ row }) => (
      <span className={classes.dim}>{row.original.model_used ?? row.original.model ?? "–"}</span>
    ),
  },
  {
    id: "duration",
    header: "Duration",
    meta: { width: "84px", align: "end" },
    cell: ({ row }) => (
      <Duration ms={row.original.duration_ms ?? null} since={row.original.started_at ?? null} />
    ),
  },
  {
    id: "cost",
    header: "Cost",
    meta: { width: "88px", align: "end" },
    cell: ({ row }) => <Cost dollars={row.original.cost ?? null} />,
  },
];

/** The status of a run; what runs undisturbed is live and leads to where one watches it. */
export function RunStatus({ execution }: { execution: Execution }) {
  const { id, status, cancel_phase, lost_contact_at } = execution;
  if (status === "running" && !cancel_phase && !lost_contact_at) {
    return <LiveBadge link={executionLink(id)} />;
  }
  return <StatusBadge look={executionLook(execution)} />;
}
