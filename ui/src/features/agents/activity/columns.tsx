import { UnstyledButton } from "@mantine/core";
import {
  IconAlertOctagon,
  IconBan,
  IconCalendar,
  IconChevronRight,
  IconCircleCheck,
  IconMessage,
  IconPlayerPlay,
  IconShare3,
  IconTool,
} from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import type { DataColumn } from "@/components/data-table/features";
import { Duration } from "@/components/duration";
import type { StatusLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import { firstLine } from "@/lib/plain-text";
import { executionLink } from "../links";
import classes from "./activity.module.css";
import { ACTIVITY_WORD, STATE_WORD } from "./search";
import type { Activity, ActivityRow } from "./tree";

const ICON: Record<Activity["activity_type"], typeof IconTool> = {
  task_start: IconPlayerPlay,
  task_end: IconPlayerPlay,
  chat_start: IconMessage,
  chat_end: IconMessage,
  schedule_start: IconCalendar,
  schedule_end: IconCalendar,
  tool_call: IconTool,
  agent_collaboration: IconShare3,
  execution_cancelled: IconBan,
};

const STATE_LOOK: Record<Activity["activity_state"], StatusLook> = {
  started: { word: STATE_WORD.started, tone: "active", icon: IconPlayerPlay },
  completed: { word: STATE_WORD.completed, tone: "success", icon: IconCircleCheck },
  failed: { word: STATE_WORD.failed, tone: "danger", icon: IconAlertOctagon },
};

/** How an entry looks now; one that was cancelled has not failed. */
function lookOf({ activity_type, activity_state, error }: Activity): StatusLook {
  if (error === "cancelled" || activity_type === "execution_cancelled")
    return { word: "Cancelled", tone: "neutral", icon: IconBan };
  return STATE_LOOK[activity_state];
}

/** The columns of the stream. */
export function columnsOf(onToggle: (id: string) => void): readonly DataColumn<ActivityRow>[] {
  return [
    {
      id: "started_at",
      header: "Time",
      meta: { width: "116px" },
      cell: ({ row }) => <Time at={row.original.activity.started_at} />,
    },
    {
      id: "activity",
      header: "Activity",
      meta: { width: "minmax(240px, 1fr)" },
      cell: ({ row }) => <ActivityText row={row.original} onToggle={onToggle} />,
    },
    {
      id: "state",
      header: "State",
      meta: { width: "116px" },
      cell: ({ row }) => <StatusBadge look={lookOf(row.original.activity)} />,
    },
    {
      id: "duration",
      header: "Duration",
      meta: { width: "92px", align: "end" },
      cell: ({ row }) => <Took activity={row.original.activity} />,
    },
    {
      id: "run",
      header: "Run",
      meta: { width: "96px" },
      cell: ({ row }) => (
        <Link
          {...executionLink(row.original.activity.related_execution_id)}
          className={classes.run}
          tabIndex={-1}
        >
          Open run
        </Link>
      ),
    },
  ];
}

/** How long an entry took, or has taken so far. */
function Took({ activity: { activity_state, duration_ms, started_at } }: { activity: Activity }) {
  const since = activity_state === "started" ? started_at : null;
  return <Duration ms={duration_ms} since={since} />;
}

interface ActivityTextProps {
  row: ActivityRow;
  onToggle: (id: string) => void;
}

/** What an entry is about, below what led to it. */
function ActivityText({ row, onToggle }: ActivityTextProps) {
  const { activity, depth, below, isOpen } = row;
  const Icon = ICON[activity.activity_type];
  return (
    <span className={classes.text} style={{ "--depth": depth } as React.CSSProperties}>
      {below > 0 ? (
        <UnstyledButton
          className={classes.fold}
          aria-expanded={isOpen}
          aria-label={`${below} below`}
          tabIndex={-1}
          onClick={() => onToggle(activity.id)}
        >
          <IconChevronRight size={14} data-open={isOpen || undefined} aria-hidden />
        </UnstyledButton>
      ) : (
        <span className={classes.fold} />
      )}
      <Icon size={15} stroke={1.6} className={classes.icon} aria-hidden />
      <span className={classes.word}>{ACTIVITY_WORD[activity.activity_type]}</span>
      <bdi className={classes.detail}>{detailOf(activity)}</bdi>
      {below > 0 && !isOpen && <span className={classes.below}>{below} folded</span>}
    </span>
  );
}

/** What the entry says of itself, as one line. */
function detailOf({ details, error }: Activity): string {
  const { message, name, input_preview, target_agent, cancelled_by } = details as Record<
    string,
    unknown
  >;
  const failure = error === "cancelled" ? null : error;
  const parts = [name, target_agent, message, input_preview, cancelled_by, failure];
  const said = parts.filter((part): part is string => typeof part === "string" && part !== "");
  return said.map(firstLine).join(" · ");
}

/** An entry on a narrow screen. */
export function ActivityCard({ row, onToggle }: ActivityTextProps) {
  const { activity } = row;
  return (
    <div className={classes.card}>
      <ActivityText row={row} onToggle={onToggle} />
      <div className={classes.cardFoot}>
        <StatusBadge look={lookOf(activity)} />
        <Took activity={activity} />
        <Time at={activity.started_at} format="age" />
        <Link {...executionLink(activity.related_execution_id)} className={classes.run}>
          Open run
        </Link>
      </div>
    </div>
  );
}
