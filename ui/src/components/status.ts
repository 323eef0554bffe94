import {
  IconAlertOctagon,
  IconAlertTriangle,
  IconBan,
  IconCircleCheck,
  IconCircleDashed,
  IconPlayerPlay,
  IconPlayerStop,
} from "@tabler/icons-react";
import type { Schemas } from "@/api/client";

/** What a colour can say; each has a variable of the same name in `tokens.css`. */
export type Tone = "neutral" | "active" | "attention" | "success" | "danger";

/** How a status looks: always a shape and a word, the colour only repeats them. */
export interface StatusLook {
  readonly word: string;
  readonly tone: Tone;
  readonly icon: typeof IconBan;
}

/** The statuses of executions, in the order of a life. */
export const EXECUTION_STATUSES = [
  "pending",
  "running",
  "completed",
  "failed",
  "cancelled",
] as const satisfies readonly Schemas["Execution"]["status"][];

/** The word of each status. */
export const EXECUTION_STATUS_LOOK: Record<Schemas["Execution"]["status"], StatusLook> = {
  pending: { word: "Queued", tone: "neutral", icon: IconCircleDashed },
  running: { word: "Running", tone: "active", icon: IconPlayerPlay },
  completed: { word: "Done", tone: "success", icon: IconCircleCheck },
  failed: { word: "Failed", tone: "danger", icon: IconAlertOctagon },
  cancelled: { word: "Cancelled", tone: "neutral", icon: IconBan },
};

const ERROR_CLASS_WORD: Record<NonNullable<Schemas["Execution"]["error_class"]>, string> = {
  timeout: "timeout",
  exit: "exit code",
  api: "model service",
  budget: "budget",
  max_turns: "turn limit",
  spawn: "not started",
  lost: "contact lost",
  rejected: "not permitted",
  agent_deleted: "agent deleted",
};

const CANCEL_PHASE_WORD = {
  queued: "Stopping",
  requested: "Stopping 1/3",
  interrupting: "Stopping 2/3",
  killing: "Stopping 3/3",
} as const;

/** How an execution looks now, in finer words than its status alone. */
export function executionLook(
  execution: Pick<
    Schemas["Execution"],
    "status" | "queue_position" | "cancel_phase" | "error_class" | "lost_contact_at"
  >,
): StatusLook {
  const look = EXECUTION_STATUS_LOOK[execution.status];
  const isOpen = execution.status === "pending" || execution.status === "running";
  if (isOpen && execution.cancel_phase) {
    const word = CANCEL_PHASE_WORD[execution.cancel_phase];
    return { word, tone: "attention", icon: IconPlayerStop };
  }
  if (execution.status === "running" && execution.lost_contact_at) {
    return { word: "No contact", tone: "attention", icon: IconAlertTriangle };
  }
  if (execution.status === "pending" && execution.queue_position) {
    return { ...look, word: `Queued #${execution.queue_position}` };
  }
  if (execution.status === "failed" && execution.error_class) {
    return { ...look, word: `Failed: ${ERROR_CLASS_WORD[execution.error_class]}` };
  }
  return look;
}

type AgentLike = Pick<Schemas["Agent"], "phase">;

const AGENT_PHASE_LOOK: Record<Schemas["Agent"]["phase"], StatusLook> = {
  absent: { word: "Deleted", tone: "neutral", icon: IconBan },
  creating: { word: "Creating", tone: "attention", icon: IconCircleDashed },
  failed: { word: "Failed", tone: "danger", icon: IconAlertOctagon },
  stopped: { word: "Stopped", tone: "neutral", icon: IconPlayerStop },
  starting: { word: "Starting", tone: "attention", icon: IconCircleDashed },
  running: { word: "Running", tone: "success", icon: IconPlayerPlay },
  paused: { word: "Paused", tone: "attention", icon: IconAlertTriangle },
  restarting: { word: "Restarting", tone: "attention", icon: IconCircleDashed },
  stopping: { word: "Stopping", tone: "attention", icon: IconPlayerStop },
  deleting: { word: "Deleting", tone: "attention", icon: IconBan },
};

/** How an agent looks now. */
export function agentLook(agent: AgentLike): StatusLook {
  return AGENT_PHASE_LOOK[agent.phase];
}
