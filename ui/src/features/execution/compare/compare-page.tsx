import { Button } from "@mantine/core";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { PageHeader } from "@/components/page-header";
import { SkeletonRows } from "@/components/skeleton-rows";
import { executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { Time } from "@/components/time";
import type { Execution } from "@/features/executions/fold";
import { firstLine } from "@/lib/plain-text";
import { clip } from "../log/clip";
import { useExecution, useExecutionEvents } from "../use-execution";
import { callLines, compareLines, compareTexts } from "./changes";
import { ChangesView } from "./changes-view";
import classes from "./compare.module.css";
import { compareFacts } from "./facts-of";
import { PickOther } from "./pick-other";

const route = getRouteApi("/app/executions/compare");

const TOOL_CALLS = ["ToolCallStarted"] as const;

/** Two executions side by side: facts, tool calls, responses. */
export function ComparePage() {
  const { a, b } = route.useSearch();
  const navigate = route.useNavigate();
  if (!a) {
    return (
      <EmptyState title="Nothing to compare" order={1}>
        Choose two executions in the list, or Compare on the page of one.
      </EmptyState>
    );
  }
  if (!b)
    return <PickOther id={a} onPick={(other) => void navigate({ search: { a, b: other } })} />;
  return <Both key={`${a} ${b}`} a={a} b={b} />;
}

function Both({ a, b }: { a: string; b: string }) {
  const [first, second] = [useExecution(a), useExecution(b)];
  const navigate = route.useNavigate();
  const failed = [first, second].find((query) => query.isError && !query.data);
  if (failed) {
    return (
      <>
        <PageHeader title="Compare" />
        <ErrorState error={failed.error} onRetry={() => void failed.refetch()} />
      </>
    );
  }
  if (!first.data || !second.data) return <SkeletonRows rows={10} />;
  return (
    <>
      <PageHeader
        title="Compare"
        actions={
          <>
            <Button
              size="xs"
              variant="default"
              onClick={() => void navigate({ search: { a: b, b: a } })}
            >
              Swap
            </Button>
            <Button
              size="xs"
              variant="default"
              onClick={() => void navigate({ search: { a, b: undefined } })}
            >
              Choose another
            </Button>
          </>
        }
      />
      <div className={classes.page}>
        <FactTable a={first.data.value} b={second.data.value} />
        <Calls a={a} b={b} />
        <section>
          <h2>Responses</h2>
          <Texts a={first.data.value.response ?? ""} b={second.data.value.response ?? ""} />
        </section>
        <section>
          <h2>Tasks</h2>
          <Texts a={first.data.value.message} b={second.data.value.message} />
        </section>
      </div>
    </>
  );
}

function FactTable({ a, b }: { a: Execution; b: Execution }) {
  return (
    <table className={classes.facts}>
      <thead>
        <tr>
          <th scope="col">
            <span className="visually-hidden">Fact</span>
          </th>
          <Head mark="A" execution={a} />
          <Head mark="B" execution={b} />
        </tr>
      </thead>
      <tbody>
        {compareFacts(a, b).map((fact) => (
          <tr key={fact.label} data-different={fact.isDifferent || undefined}>
            <th scope="row">
              {fact.label} {fact.isDifferent && <span className={classes.differs}>differs</span>}
            </th>
            <td>
              <bdi>{fact.a}</bdi>
            </td>
            <td>
              <bdi>{fact.b}</bdi>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Head({ mark, execution }: { mark: string; execution: Execution }) {
  return (
    <th scope="col">
      <span className={classes.mark}>{mark}</span>{" "}
      <Link to="/executions/$id" params={{ id: execution.id }}>
        <bdi>{clip(firstLine(execution.message), 80, 1).text}</bdi>
      </Link>
      <div className={classes.when}>
        <StatusBadge look={executionLook(execution)} /> <Time at={execution.created_at} />
      </div>
    </th>
  );
}

function Calls({ a, b }: { a: string; b: string }) {
  const [first, second] = [useExecutionEvents(a, TOOL_CALLS), useExecutionEvents(b, TOOL_CALLS)];
  const changes = useMemo(
    () => compareLines(callLines(first.events), callLines(second.events)),
    [first.events, second.events],
  );
  const failed = [first, second].find(({ query }) => query.isError)?.query;
  const isPending = first.query.isPending || second.query.isPending;
  return (
    <section>
      <h2>Tool calls</h2>
      {failed ? (
        <ErrorState error={failed.error} onRetry={() => void failed.refetch()} />
      ) : isPending ? (
        <SkeletonRows rows={3} height={28} />
      ) : (
        <ChangesView changes={changes} />
      )}
    </section>
  );
}

function Texts({ a, b }: { a: string; b: string }) {
  const changes = useMemo(() => compareTexts(a, b), [a, b]);
  return <ChangesView changes={changes} />;
}
