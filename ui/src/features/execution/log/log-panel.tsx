import { useLocation, useNavigate } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense, useCallback, useRef } from "react";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { Time } from "@/components/time";
import type { Execution } from "@/features/executions/fold";
import type { Entry } from "./entry";
import { lineOfHash } from "./hash";
import classes from "./log.module.css";
import { LogAnnouncer } from "./log-announcer";
import type { LogSource } from "./log-source";
import { LogToolbar } from "./log-toolbar";
import { type LogHandle, LogView } from "./log-view";
import { useLog } from "./use-log";
import { useLogSearch } from "./use-log-search";

// Few copy a log or save it: what that takes is loaded after the lines.
const LogMenu = lazy(async () => ({ default: (await import("./log-menu")).LogMenu }));

/** What a row is drawn with. */
export interface RowContext {
  readonly source: LogSource;
  readonly isLive: boolean;
  readonly isTarget: boolean;
}

interface LogPanelProps {
  execution: Execution;
  label: string;
  q: string | undefined;
  /** How high a line is before it was drawn, as far as one knows it. */
  estimate: (shape: number) => number;
  row: (entry: Entry, context: RowContext) => ReactNode;
  /** More tools beside the search. */
  tools?: ReactNode;
}

/** The log of an execution: tools above, lines below, and what to say when there are none. */
export function LogPanel({ execution, label, q, estimate, row, tools }: LogPanelProps) {
  const { source, state, isLive } = useLog(execution);
  const { agent_name: agent, id, incarnation } = execution;
  const place = { agent, id, incarnation };
  const { search, error: searchError, jump } = useLogSearch(place, q);
  const navigate = useNavigate({ from: "/executions/$id" });
  const target = lineOfHash(useLocation({ select: ({ hash }) => hash }));
  const handle = useRef<LogHandle>(null);
  const { lines } = source;
  const estimateSeq = useCallback(
    (seq: number) => estimate(source.lines.shape(seq)),
    [estimate, source],
  );
  const toMatch = (by: 1 | -1) => {
    const seq = jump(by, handle.current?.firstSeq() ?? 1, lines.total);
    if (seq === null) return;
    // A hash that is there already brings nothing into view by itself.
    handle.current?.goTo(seq);
    void navigate({
      search: (before) => before,
      hash: `seq=${seq}`,
      replace: true,
      resetScroll: false,
      hashScrollIntoView: false,
    });
  };

  if (execution.transcript_removed_at || state.error?.code === "transcript-removed") {
    return <Removed at={execution.transcript_removed_at ?? null} />;
  }
  if (!state.isLoaded) {
    if (state.error) {
      return <ErrorState error={state.error} onRetry={() => void source.open()} />;
    }
    return <SkeletonRows height={28} />;
  }
  if (lines.total === 0) return <NothingPrinted execution={execution} />;
  return (
    <>
      <LogToolbar
        total={lines.total}
        state={state}
        q={q}
        search={search}
        hasFailed={searchError !== null}
        onSearch={(next) =>
          next !== q &&
          void navigate({
            search: (before) => ({ ...before, q: next }),
            hash: true,
            replace: true,
            resetScroll: false,
          })
        }
        onJump={toMatch}
      >
        {tools}
        <span className={classes.menu}>
          <Suspense>
            <LogMenu execution={execution} source={source} handle={handle} />
          </Suspense>
        </span>
      </LogToolbar>
      {state.error && (
        <p role="alert" className={classes.gap}>
          Some lines could not be read: {state.error.detail}
        </p>
      )}
      <LogView
        label={label}
        source={source}
        version={state.version}
        isLive={isLive}
        target={target}
        estimate={estimateSeq}
        handle={handle}
      >
        {(seq) => {
          const entry = lines.get(seq);
          if (!entry) {
            return (
              <div className={classes.absent} style={{ height: estimateSeq(seq) }} aria-hidden />
            );
          }
          return row(entry, { source, isLive, isTarget: seq === target });
        }}
      </LogView>
      <LogAnnouncer streamed={state.streamed} />
    </>
  );
}

function Removed({ at }: { at: string | null }) {
  return (
    <EmptyState title="The transcript was removed">
      {at && (
        <>
          It went on <Time at={at} />, as the retention setting of this server says.{" "}
        </>
      )}
      What was asked, what came of it and what it cost are still here.
    </EmptyState>
  );
}

function NothingPrinted({ execution }: { execution: Execution }) {
  const { status } = execution;
  if (status === "pending") {
    return (
      <EmptyState title="It has not begun yet">
        Its lines appear here as soon as it runs.
      </EmptyState>
    );
  }
  if (status === "running") {
    return (
      <EmptyState title="Nothing has been printed yet">
        The first line appears here as it is printed.
      </EmptyState>
    );
  }
  return (
    <EmptyState title="Nothing was printed">
      {execution.error ?? "The run ended before its first line."}
    </EmptyState>
  );
}
