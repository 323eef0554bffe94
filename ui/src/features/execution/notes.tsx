import { useQuery } from "@tanstack/react-query";
import { api, load } from "@/api/client";
import { ApiError } from "@/api/problem";
import { Time } from "@/components/time";
import type { Execution } from "@/features/executions/fold";
import { plainText } from "@/lib/plain-text";
import { useLiveHub } from "@/live/context";
import { useLiveRefresh } from "@/live/hooks";
import { adviceFor, queueText } from "./advice";
import classes from "./execution.module.css";
import { clip } from "./log/clip";

/** How much of an error stands above the tabs; all of it is below one of them. */
const ERROR_CHARS = 400;

/** What one has to know of an execution before anything else. */
export function Notes({ execution }: { execution: Execution }) {
  const { status, error, lost_contact_at: lostAt, cancelled_by } = execution;
  const advice = adviceFor(execution);
  return (
    <>
      <AgentNote execution={execution} />
      {status === "pending" && (
        <p className={classes.note}>
          <strong>{queueText(execution)}</strong>
        </p>
      )}
      {status === "running" && lostAt && (
        <p className={classes.note} data-tone="attention">
          <strong>No contact</strong>
          <span>
            Nothing has been heard of it since <Time at={lostAt} />; it may still run.
          </span>
        </p>
      )}
      {status === "failed" && (
        <p className={classes.note} data-tone="danger">
          {error && (
            <strong>
              <bdi>{plainText(clip(error, ERROR_CHARS, 3).text)}</bdi>
            </strong>
          )}
          {advice && <span>{advice}</span>}
        </p>
      )}
      {status === "cancelled" && (
        <p className={classes.note}>
          <strong>Cancelled{cancelled_by ? ` by ${plainText(cancelled_by)}` : ""}</strong>
          {execution.cancel_reason && <span>{CANCEL_TEXT[execution.cancel_reason]}</span>}
        </p>
      )}
    </>
  );
}

const CANCEL_TEXT: Record<NonNullable<Execution["cancel_reason"]>, string> = {
  requested: "Somebody asked for it.",
  "queue-cleared": "The queue of the agent was cleared.",
  "agent-stopped": "Its agent was stopped.",
  "agent-deleted": "Its agent was deleted.",
};

/** Says that the agent is gone, or is another one of the same name. */
function AgentNote({ execution }: { execution: Execution }) {
  const hub = useLiveHub();
  const { agent_name: name, incarnation } = execution;
  const queryKey = ["agents", "of-execution", name] as const;
  const agent = useQuery({
    queryKey,
    queryFn: async ({ signal }) => {
      const query = { min_position: hub.recent.floor };
      const params = { path: { name }, query };
      try {
        const agent = await load(api.GET("/api/agents/{name}", { params, signal }));
        return { ...agent, value: agent.value.incarnation ?? null };
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
        return { value: null, position: hub.recent.position, next: null };
      }
    },
  });
  useLiveRefresh(
    queryKey,
    agent.data,
    ({ type, stream_id }) =>
      stream_id === name && (type === "AgentDeleted" || type === "AgentCreated"),
  );
  if (!agent.data || agent.data.value === incarnation) return null;
  return (
    <p className={classes.note}>
      <strong>
        {agent.data.value === null ? `${name} is deleted` : `This was an earlier ${name}`}
      </strong>
      <span>
        {agent.data.value === null
          ? "What it did stays here; it cannot run again."
          : "The agent of that name today is another one."}
      </span>
    </p>
  );
}
