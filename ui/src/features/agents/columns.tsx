import { IconPlayerPlay, IconPlayerStop } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import type { Schemas } from "@/api/client";
import type { DataColumn } from "@/components/data-table/features";
import { SlotBar } from "@/components/slot-bar";
import { agentLook, EXECUTION_STATUS_LOOK } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import classes from "./agents.module.css";
import { Avatar } from "./avatar";
import type { Agent } from "./fold";
import { agentLink, executionLink } from "./links";
import { Tags } from "./tags";
import { useAgentActions } from "./use-agent-actions";

/** An agent with what it ran last: a row of the list. */
export interface AgentRow {
  readonly agent: Agent;
  readonly latest: Schemas["LatestExecution"] | null;
}

/** The columns of the list. */
export const columns: readonly DataColumn<AgentRow>[] = [
  {
    id: "status",
    header: "Status",
    meta: { width: "116px" },
    cell: ({ row }) => <StatusBadge look={agentLook(row.original.agent)} />,
  },
  {
    id: "name",
    header: "Name",
    meta: { width: "minmax(144px, 1fr)" },
    cell: ({ row }) => (
      <span className={classes.named}>
        <Avatar agent={row.original.agent} size={20} />
        <AgentName agent={row.original.agent} tabIndex={-1} />
        <Tags tags={row.original.agent.tags} isPlain />
      </span>
    ),
  },
  {
    id: "slots",
    header: "Slots",
    meta: { width: "156px" },
    cell: ({ row }) => <SlotBar {...row.original.agent.slots} />,
  },
  {
    id: "runtime",
    header: "Runtime",
    meta: { width: "100px" },
    cell: ({ row }) => <span className={classes.dim}>{row.original.agent.runtime}</span>,
  },
  {
    id: "model",
    header: "Model",
    meta: { width: "112px" },
    cell: ({ row }) => <Model agent={row.original.agent} />,
  },
  {
    id: "latest",
    header: "Last run",
    meta: { width: "148px" },
    cell: ({ row }) => <LatestRun latest={row.original.latest} tabIndex={-1} />,
  },
  {
    id: "isolation",
    header: "Isolation",
    meta: { width: "88px" },
    cell: ({ row }) => (
      <span className={classes.dim}>{isolationText(row.original.agent.isolation)}</span>
    ),
  },
  {
    id: "owner",
    header: "Owner",
    meta: { width: "88px" },
    cell: ({ row }) => <bdi className={classes.dim}>{row.original.agent.owner}</bdi>,
  },
  {
    id: "toggle",
    header: () => <span className="visually-hidden">Start or stop</span>,
    meta: { width: "44px" },
    cell: ({ row }) => <Toggle agent={row.original.agent} />,
  },
];

/** The name of an agent, which leads to its page. */
export function AgentName({ agent, tabIndex }: { agent: Agent; tabIndex?: number }) {
  return (
    <Link
      {...agentLink(agent.name)}
      className={classes.name}
      data-faint={agent.phase === "stopped" || undefined}
      tabIndex={tabIndex}
    >
      {agent.name}
    </Link>
  );
}

/** The model that an agent's tasks use when they name none. */
export function Model({ agent }: { agent: Pick<Agent, "model"> }) {
  return <bdi className={classes.dim}>{agent.model ?? "default"}</bdi>;
}

interface LatestRunProps {
  latest: AgentRow["latest"];
  tabIndex?: number;
}

/** How the last run of an agent ended, or that it goes on. */
export function LatestRun({ latest, tabIndex }: LatestRunProps) {
  if (!latest) return <span className={classes.dim}>never</span>;
  const { word, icon: Icon, tone } = EXECUTION_STATUS_LOOK[latest.status];
  return (
    <Link {...executionLink(latest.id)} className={classes.latest} tabIndex={tabIndex}>
      <Icon size={15} stroke={1.9} style={{ color: `var(--${tone})` }} aria-hidden />
      <span>
        {word} <Time at={latest.completed_at ?? latest.created_at} format="age" />
      </span>
    </Link>
  );
}

/** What keeps the runs of an agent apart, in words. */
export function isolationText(isolation: string | null): string {
  switch (isolation) {
    case "container":
      return "container";
    case "uid":
      return "own user";
    case "landlock":
      return "Landlock";
    case "none":
      return "none";
    default:
      return "–";
  }
}

/** Starts a stopped agent, stops a running one. */
export function Toggle({ agent }: { agent: Agent }) {
  const actions = useAgentActions(agent);
  if (!actions.canStart && !actions.canStop) return null;
  const Icon = actions.canStart ? IconPlayerPlay : IconPlayerStop;
  return (
    <>
      {/* Drawn by the browser: a list has dozens of them in view. */}
      <button
        type="button"
        className={classes.toggle}
        tabIndex={-1}
        aria-label={`${actions.canStart ? "Start" : "Stop"} ${agent.name}`}
        aria-busy={actions.isBusy}
        disabled={actions.isBusy}
        onClick={actions.canStart ? actions.start : actions.stop}
      >
        <Icon size={15} stroke={1.7} aria-hidden />
      </button>
      {actions.dialog}
    </>
  );
}
