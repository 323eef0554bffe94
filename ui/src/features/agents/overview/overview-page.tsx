import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { CommandLine } from "@/components/command-line";
import { Cost } from "@/components/cost";
import { Duration } from "@/components/duration";
import { ErrorState } from "@/components/error-state";
import { Properties, type Property } from "@/components/properties";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { agentLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import { formatDuration } from "@/lib/format";
import { firstLine, plainText } from "@/lib/plain-text";
import { isolationText } from "../columns";
import type { AgentDetail } from "../fold";
import { executionLink } from "../links";
import { RunStatus } from "../tasks/run-status";
import { useAgent } from "../use-agent";
import { useAgentRuns } from "../use-agent-runs";
import { Calls } from "./calls";
import { History } from "./history";
import classes from "./overview.module.css";
import { Usage } from "./usage";

/** How many runs are shown. */
const RUNS_SHOWN = 10;

/** How an agent is: health, configuration, what it did last, whom it calls. */
export function OverviewPage() {
  const agent = useAgent();
  return (
    <div className={classes.page}>
      <Section title="Health">
        <div className={classes.body}>
          <Properties items={health(agent)} />
        </div>
      </Section>
      <Section
        title="Last runs"
        actions={
          <Link to="/agents/$name/tasks" params={{ name: agent.name }} className={classes.all}>
            All tasks
          </Link>
        }
      >
        <LastRuns agent={agent} />
      </Section>
      <div className={classes.wide}>
        <History agent={agent} />
      </div>
      <Section
        title="Configuration"
        actions={
          <Link to="/agents/$name/settings" params={{ name: agent.name }} className={classes.all}>
            Change
          </Link>
        }
      >
        <div className={classes.body}>
          <Properties items={configuration(agent)} />
          {agent.custom_instructions !== null && (
            <details className={classes.instructions}>
              <summary>Instructions</summary>
              <pre>{plainText(agent.custom_instructions)}</pre>
            </details>
          )}
        </div>
      </Section>
      <Section title="Calls between agents">
        <Calls name={agent.name} />
      </Section>
    </div>
  );
}

function health(agent: AgentDetail): Property[] {
  const { slots, isolation, landlock_abi, run_uid, container_id } = agent;
  return [
    { name: "Status", value: <StatusBadge look={agentLook(agent)} /> },
    { name: "Slots", value: `${slots.active} of ${slots.max} taken, ${slots.queued} waiting` },
    ...(agent.phase === "running"
      ? [{ name: "Uses", value: <Usage key={agent.incarnation} name={agent.name} /> }]
      : []),
    {
      name: "Isolation",
      value: [
        isolationText(isolation),
        run_uid === null ? null : `user ${run_uid}`,
        landlock_abi === null ? null : `Landlock ABI ${landlock_abi}`,
      ]
        .filter((part) => part !== null)
        .join(", "),
    },
    { name: "Known to its host as", value: <code>{container_id ?? "–"}</code> },
    { name: "Created", value: <Time at={agent.created} /> },
    { name: "Owner", value: <bdi>{agent.owner}</bdi> },
  ];
}

function configuration(agent: AgentDetail): Property[] {
  const list = (items: readonly string[], none: string) => items.join(", ") || none;
  const { memory, cpu } = agent.resources;
  const optional: [name: string, value: string | null][] = [
    ["Template", agent.template],
    ["Repository", agent.git_sync && `${agent.git_sync.repository}, ${agent.git_sync.branch}`],
    ["Memory", memory],
    ["Processors", cpu],
    ["Workspace", agent.read_only.enabled ? "read-only" : null],
    ["Full capabilities", agent.full_capabilities ? "allowed" : null],
  ];
  return [
    { name: "Runtime", value: agent.runtime },
    { name: "Model", value: <bdi>{agent.model ?? "the CLI’s own default"}</bdi> },
    { name: "Runs at once", value: agent.max_parallel_tasks },
    { name: "Timeout", value: formatDuration(agent.execution_timeout_seconds * 1_000) },
    { name: "Autonomy", value: agent.autonomy ? "on" : "off" },
    { name: "Tools", value: <bdi>{list(agent.tools, "all")}</bdi> },
    { name: "Skills", value: <bdi>{list(agent.skills, "none")}</bdi> },
    { name: "Credentials", value: <bdi>{list(agent.credentials, "none")}</bdi> },
    { name: "MCP servers", value: <bdi>{list(agent.mcp_servers, "none")}</bdi> },
    { name: "Type", value: <bdi>{agent.type}</bdi> },
    { name: "Tags", value: <bdi>{list(agent.tags, "none")}</bdi> },
    {
      name: "Shared with",
      value: (
        <bdi>
          {list(
            agent.shares.map(({ username }) => username),
            "nobody",
          )}
        </bdi>
      ),
    },
    // What most agents do not have is only named where one does.
    ...optional
      .filter(([, value]) => value !== null)
      .map(([name, value]) => ({ name, value: <bdi>{value}</bdi> })),
  ];
}

function LastRuns({ agent }: { agent: AgentDetail }) {
  const { query, rows, newCount, isStale, showNew } = useAgentRuns(agent);
  useEffect(() => {
    if (newCount > 0 && !isStale) showNew();
  });
  if (query.isPending) return <SkeletonRows rows={3} height={40} />;
  if (query.isError && rows.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  if (rows.length === 0) {
    return (
      <div className={classes.body}>
        <p className={classes.none}>It has not run anything yet.</p>
        <CommandLine command={`trinity run ${agent.name} "Summarise the changelog"`} />
      </div>
    );
  }
  return (
    <ul className={classes.runs}>
      {rows.slice(0, RUNS_SHOWN).map((run) => (
        <li key={run.id} className={classes.run}>
          <span className={classes.status}>
            <RunStatus execution={run} />
          </span>
          <Link {...executionLink(run.id)} className={classes.message}>
            <bdi>{firstLine(run.message)}</bdi>
          </Link>
          <span className={classes.facts}>
            <Duration ms={run.duration_ms ?? null} since={run.started_at ?? null} />
            <Cost dollars={run.cost ?? null} />
            <Time at={run.created_at} format="age" />
          </span>
        </li>
      ))}
    </ul>
  );
}
