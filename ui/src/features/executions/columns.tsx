import { Link } from "@tanstack/react-router";
import { Cost } from "@/components/cost";
import type { DataColumn } from "@/components/data-table/features";
import { Duration } from "@/components/duration";
import { executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import { formatCount, formatShortCount } from "@/lib/format";
import { firstLine } from "@/lib/plain-text";
import classes from "./executions.module.css";
import type { Execution } from "./fold";

/** The columns of the list; all but the first and the task can be hidden. */
export const columns: readonly DataColumn<Execution>[] = [
  {
    id: "status",
    header: "Status",
    meta: { width: "148px" },
    cell: ({ row }) => <StatusBadge look={executionLook(row.original)} />,
  },
  {
    id: "created_at",
    header: "Created",
    meta: { width: "116px" },
    cell: ({ row }) => <Time at={row.original.created_at} />,
  },
  {
    id: "agent",
    header: "Agent",
    meta: { width: "112px" },
    cell: ({ row }) => <span className={classes.agent}>{row.original.agent_name}</span>,
  },
  {
    id: "message",
    header: "Task",
    meta: { width: "minmax(184px, 1fr)" },
    cell: ({ row }) => (
      <Link
        to="/executions/$id"
        params={{ id: row.original.id }}
        className={classes.open}
        tabIndex={-1}
      >
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
    id: "tokens",
    header: "Tokens",
    meta: { width: "76px", align: "end" },
    cell: ({ row }) => <Tokens usage={row.original.usage} />,
  },
  {
    id: "cost",
    header: "Cost",
    meta: { width: "88px", align: "end" },
    cell: ({ row }) => <Cost dollars={row.original.cost ?? null} />,
  },
];

/** The columns that are always there. */
export const FIXED_COLUMNS: ReadonlySet<string> = new Set(["status", "message"]);

/** By which road an execution came, and from which agent. */
export function triggerText({ triggered_by, source_agent }: Execution): string {
  return source_agent ? `${triggered_by} ← ${source_agent}` : triggered_by;
}

function Tokens({ usage }: Pick<Execution, "usage">) {
  if (!usage) return <>–</>;
  const { input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens } = usage;
  const total = input_tokens + output_tokens + cache_read_tokens + cache_creation_tokens;
  return <span title={`${formatCount(total)} tokens`}>{formatShortCount(total)}</span>;
}
