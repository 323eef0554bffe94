import type { Execution } from "@/features/executions/fold";

type ErrorClass = NonNullable<Execution["error_class"]>;

/** What can be done about each kind of failure. */
const ADVICE: Record<ErrorClass, string> = {
  timeout: "It ran longer than it may. Give it more time, or a smaller task, and run it again.",
  exit: "The command ended with an error. The last lines of the log usually say why.",
  api: "The model's service refused or failed. Running it again later may be all it takes.",
  budget: "What it may cost is used up. Raise the budget before running it again.",
  max_turns: "It used up its turns. Allow more of them, or split the task.",
  spawn: "It could not be started. See whether the agent and its command line are in order.",
  lost: "Nothing was heard of it any more. See what it left behind before running it again.",
  rejected: "It was not permitted. See who may call this agent, and with which tools.",
  agent_deleted: "Its agent was deleted while it ran or waited.",
};

/** What to do about an execution that failed; null when there is nothing to say. */
export function adviceFor({ status, error_class }: Execution): string | null {
  return status === "failed" && error_class ? ADVICE[error_class] : null;
}

const QUEUE_REASON: Record<NonNullable<Execution["queue_reason"]>, string> = {
  "not-started": "the agent has not been started",
  "agent-stopped": "the agent is stopped",
  "agent-crashed": "the agent has crashed",
  "agent-paused": "the agent is paused",
  "agent-deleted": "the agent is deleted",
};

/** Why an execution waits, in words. */
export function queueText({ queue_position, queue_reason }: Execution): string {
  const place = queue_position ? `Number ${queue_position} in the queue` : "Waiting for a slot";
  return queue_reason ? `${place}: ${QUEUE_REASON[queue_reason]}` : place;
}
