import { getRouteApi } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { ApiError } from "@/api/problem";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { HairlineProgress } from "@/components/hairline-progress";
import { LiveBadge } from "@/components/live-badge";
import { PageHeader } from "@/components/page-header";
import { SkeletonRows } from "@/components/skeleton-rows";
import { executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import type { Execution } from "@/features/executions/fold";
import { firstLine } from "@/lib/plain-text";
import classes from "./execution.module.css";
import { Facts } from "./facts";
import { HeaderActions } from "./header-actions";
import { clip } from "./log/clip";
import { RawLog } from "./log/raw-log";
import { Notes } from "./notes";
import type { Tab } from "./routes";
import { StopPanel } from "./stop/stop-panel";
import { Tabs } from "./tabs";
import { Transcript } from "./transcript/transcript";
import { useExecution } from "./use-execution";

// What few open is loaded when they do.
const EventsTab = lazy(async () => ({ default: (await import("./events-tab")).EventsTab }));
const InputOutput = lazy(async () => ({ default: (await import("./input-output")).InputOutput }));
const Timeline = lazy(async () => ({ default: (await import("./timeline/timeline")).Timeline }));

const route = getRouteApi("/app/executions/$id");

/** How much of a task is its title. */
const TITLE_CHARS = 120;

/** One execution: what it is, what it does, and what came of it. */
export function ExecutionPage() {
  const { id } = route.useParams();
  const query = useExecution(id);
  if (query.data) {
    return (
      <>
        <HairlineProgress isActive={query.isFetching} />
        <Shown key={id} execution={query.data.value} />
      </>
    );
  }
  if (query.isError) return <NotShown error={query.error} onRetry={() => void query.refetch()} />;
  return <SkeletonRows rows={10} />;
}

function Shown({ execution }: { execution: Execution }) {
  const { tab = "transcript", q } = route.useSearch();
  const navigate = route.useNavigate();
  const { status, cancel_phase, lost_contact_at: lostAt } = execution;
  const isStopping = (status === "running" || status === "pending") && Boolean(cancel_phase);
  return (
    <>
      <PageHeader
        title={clip(firstLine(execution.message), TITLE_CHARS, 1).text || execution.agent_name}
        aside={
          <span className={classes.title}>
            <StatusBadge look={executionLook(execution)} />
            {status === "running" && !lostAt && <LiveBadge />}
          </span>
        }
        actions={<HeaderActions execution={execution} />}
      />
      {isStopping && <StopPanel execution={execution} />}
      <Notes execution={execution} />
      <Facts execution={execution} />
      <Tabs
        tab={tab}
        onTab={(next) =>
          void navigate({
            search: (before) => ({ ...before, tab: next === "transcript" ? undefined : next }),
            replace: true,
            resetScroll: false,
          })
        }
      >
        <Suspense fallback={<SkeletonRows />}>
          <Part tab={tab} q={q} execution={execution} />
        </Suspense>
      </Tabs>
    </>
  );
}

function Part({ tab, q, execution }: { tab: Tab; q: string | undefined; execution: Execution }) {
  switch (tab) {
    case "transcript":
      return <Transcript execution={execution} q={q} />;
    case "timeline":
      return <Timeline execution={execution} />;
    case "raw":
      return <RawLog execution={execution} q={q} />;
    case "io":
      return <InputOutput execution={execution} />;
    case "events":
      return <EventsTab id={execution.id} />;
  }
}

function NotShown({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  if (error instanceof ApiError && error.status === 404) {
    return (
      <EmptyState title="There is no such execution" order={1}>
        The address may be mistyped, or the execution belongs to an agent that you cannot see.
      </EmptyState>
    );
  }
  return (
    <>
      <PageHeader title="Execution" />
      <ErrorState error={error} onRetry={onRetry} />
    </>
  );
}
