import { Button } from "@mantine/core";
import {
  IconPlayerPause,
  IconPlayerPlay,
  IconPlayerStop,
  IconPlus,
  IconRefreshAlert,
} from "@tabler/icons-react";
import { getRouteApi, Outlet } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { ApiError } from "@/api/problem";
import { useActions } from "@/app/actions/use-actions";
import { ErrorState } from "@/components/error-state";
import { PageHeader } from "@/components/page-header";
import { SkeletonRows } from "@/components/skeleton-rows";
import { SlotBar } from "@/components/slot-bar";
import { agentLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { TabLinks } from "@/components/tab-links";
import { plainText } from "@/lib/plain-text";
import classes from "./agent-page.module.css";
import { deletionOf } from "./agent-state";
import { Avatar } from "./avatar";
import { DeletedAgent } from "./deleted-agent";
import type { AgentDetail } from "./fold";
import { Tags } from "./tags";
import { AgentContext, useAgentState } from "./use-agent";
import { type AgentActions, useAgentActions } from "./use-agent-actions";

const route = getRouteApi("/app/agents/$name");

const TABS = [
  { label: "Overview", to: "/agents/$name/overview" },
  { label: "Tasks", to: "/agents/$name/tasks" },
  { label: "Activity", to: "/agents/$name/activity" },
  { label: "Files", to: "/agents/$name/files" },
  { label: "Logs", to: "/agents/$name/logs" },
  { label: "Settings", to: "/agents/$name/settings" },
] as const;

/** One agent: what it is and does now, and below it a part of its page. */
export function AgentPage() {
  const { name } = route.useParams();
  const query = useAgentState(name);
  const state = query.data?.value;
  if (query.error instanceof ApiError && query.error.status === 404) {
    return <DeletedAgent name={name} deletion={deletionOf(query.error)} />;
  }
  if (state?.deletion) return <DeletedAgent name={name} deletion={state.deletion} />;
  if (!state) {
    return (
      <>
        <PageHeader title={name} />
        {query.isError ? (
          <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <SkeletonRows />
        )}
      </>
    );
  }
  return (
    <AgentContext value={state.agent}>
      <Header agent={state.agent} />
      <TabLinks
        label={`Agent ${name}`}
        tabs={TABS.map(({ label, to }) => ({ label, link: { to, params: { name } } }))}
      />
      <Outlet key={state.agent.incarnation} />
    </AgentContext>
  );
}

const DeleteAgent = lazy(async () => ({ default: (await import("./delete-agent")).DeleteAgent }));

function Header({ agent }: { agent: AgentDetail }) {
  const { name, slots, runtime, model, failure } = agent;
  const navigate = route.useNavigate();
  const actions = useAgentActions(agent);
  const [isDeleting, setDeleting] = useState(false);
  const runTask = () => {
    const message = document.getElementById("message");
    if (message) message.focus();
    else void navigate({ to: "/agents/$name/tasks", params: { name }, hash: "message" });
  };
  useActions([
    { id: "agent.task", label: `Run a task on ${name}`, group: "Agent", keys: "c", run: runTask },
    ...(actions.canStart
      ? [{ id: "agent.start", label: `Start ${name}`, group: "Agent", run: actions.start }]
      : []),
    ...(actions.canStop
      ? [
          { id: "agent.stop", label: `Stop ${name}`, group: "Agent", run: actions.stop },
          { id: "agent.restart", label: `Restart ${name}`, group: "Agent", run: actions.restart },
        ]
      : []),
    ...(actions.canPause
      ? [{ id: "agent.pause", label: `Pause ${name}`, group: "Agent", run: actions.pause }]
      : []),
    ...(agent.can_delete
      ? [
          {
            id: "agent.delete",
            label: `Delete ${name}`,
            group: "Agent",
            run: () => setDeleting(true),
          },
        ]
      : []),
  ]);
  return (
    <>
      <PageHeader
        title={name}
        mark={<Avatar agent={agent} size={28} />}
        aside={
          <span className={classes.facts}>
            <StatusBadge look={agentLook(agent)} />
            <SlotBar {...slots} />
            <span>
              {runtime} · <bdi>{model ?? "default model"}</bdi>
            </span>
            <Tags tags={agent.tags} />
          </span>
        }
        actions={
          <>
            {actions.canStart && (
              <Button
                variant="default"
                size="xs"
                leftSection={<IconPlayerPlay size={14} aria-hidden />}
                loading={actions.isBusy}
                onClick={actions.start}
              >
                {agent.phase === "paused" ? "Unpause" : "Start"}
              </Button>
            )}
            {actions.canPause && (
              <Button
                variant="default"
                size="xs"
                leftSection={<IconPlayerPause size={14} aria-hidden />}
                disabled={actions.isBusy}
                onClick={actions.pause}
              >
                Pause
              </Button>
            )}
            {(actions.canStop || agent.phase === "stopping") && (
              <Button
                variant="default"
                size="xs"
                leftSection={<IconPlayerStop size={14} aria-hidden />}
                loading={agent.phase === "stopping"}
                onClick={actions.stop}
              >
                Stop
              </Button>
            )}
            <Button size="xs" leftSection={<IconPlus size={14} aria-hidden />} onClick={runTask}>
              Run task
            </Button>
          </>
        }
      />
      {failure && (
        <p className={classes.failure} role="alert">
          Failed at <strong>{failure.step}</strong>: <bdi>{plainText(failure.error)}</bdi>
        </p>
      )}
      {agent.restart_needed && <RestartNeeded actions={actions} />}
      {actions.dialog}
      <Suspense>
        {isDeleting && <DeleteAgent agent={agent} onClose={() => setDeleting(false)} />}
      </Suspense>
    </>
  );
}

/** Says that it runs with other settings than those that are set, and how to change that. */
function RestartNeeded({ actions }: { actions: AgentActions }) {
  return (
    <div className={classes.restart} role="status">
      <IconRefreshAlert size={16} aria-hidden />
      <span>What was set is in force from the next start on.</span>
      {actions.canStop && (
        <Button size="xs" variant="default" loading={actions.isBusy} onClick={actions.restart}>
          Restart
        </Button>
      )}
    </div>
  );
}
