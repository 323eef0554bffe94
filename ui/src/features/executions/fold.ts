import type { Schemas } from "@/api/client";
import type { LogEvent } from "@/live/event";

/** An execution as the API has it. */
export type Execution = Schemas["Execution"];

/** How an execution ended, as its last event has it. */
interface Outcome {
  ended_at: string | null;
  duration_ms: number | null;
  response: string | null;
  response_ref: string | null;
  cost_usd_micros: number | null;
  usage: Execution["usage"];
  num_turns: number | null;
  context_used: number | null;
  context_max: number | null;
  model_used: string | null;
  tool_call_count: number;
  exit: { code: number | null; signal: number | null } | null;
}

/** The execution that an event is about; null when it is about none. */
export function executionIdOf(event: LogEvent): string | null {
  if (event.stream_type === "execution") return event.stream_id;
  const { execution_id } = event.data;
  return event.stream_type === "slots" && typeof execution_id === "string" ? execution_id : null;
}

/** The execution that a request makes, as the server's list has it. */
export function requested(event: LogEvent): Execution {
  const request = event.data as unknown as Execution & { agent: string };
  return {
    id: event.stream_id,
    agent_name: request.agent,
    incarnation: request.incarnation,
    status: "pending",
    created_at: event.recorded_at,
    started_at: null,
    completed_at: null,
    duration_ms: null,
    message: request.message,
    response: null,
    response_ref: null,
    error: null,
    error_class: null,
    cost: null,
    model: request.model,
    model_used: null,
    triggered_by: request.triggered_by,
    source: request.source,
    source_agent: request.source_agent,
    source_user: request.source_user,
    parent_execution_id: request.parent_execution_id,
    schedule_id: request.schedule_id,
    chat_session_id: request.chat_session_id,
    is_chat_turn: request.is_chat_turn,
    claude_session_id: null,
    resume_session_id: request.resume_session_id,
    timeout_seconds: request.timeout_seconds,
    max_turns: request.max_turns,
    allowed_tools: request.allowed_tools,
    num_turns: null,
    usage: null,
    context_used: null,
    context_max: null,
    exit_code: null,
    exit_signal: null,
    tool_call_count: 0,
    slot: null,
    epoch: null,
    cancel_phase: null,
    cancel_reason: null,
    cancelled_by: null,
    lost_contact_at: null,
    tags: request.tags,
    transcript_removed_at: null,
    queue_position: null,
    queue_reason: null,
  };
}

/** The execution after one of its events; the same object when nothing changes that is shown. */
export function foldExecution(row: Execution, event: LogEvent): Execution {
  switch (event.type) {
    case "ExecutionStarted":
    case "SessionBound":
    case "ToolCallStarted":
    case "SlotAcquired":
    case "ExecutionDequeued":
      return progress(row, event);
    case "CancelRequested":
    case "InterruptSent":
    case "KillSent":
      return stopping(row, event);
    case "ExecutionCompleted":
      return end(row, "completed", event);
    case "ExecutionFailed": {
      const { class: error_class, error } = event.data as {
        class: Execution["error_class"];
        error: string;
      };
      return { ...end(row, "failed", event), error_class, error };
    }
    case "ExecutionCancelled": {
      const { by, reason, phase } = event.data as unknown as Stop;
      const stop = { cancelled_by: by, cancel_reason: reason, cancel_phase: phase };
      return { ...end(row, "cancelled", event), ...stop };
    }
    case "ContactLost":
      return { ...row, lost_contact_at: String(event.data.since) };
    case "ContactRegained":
      return { ...row, lost_contact_at: null };
    case "TranscriptRemoved":
      return { ...row, transcript_removed_at: String(event.data.at) };
    default:
      return row;
  }
}

type Progress = Pick<
  Execution,
  "slot" | "epoch" | "claude_session_id" | "started_at" | "model_used" | "timeout_seconds"
>;

function progress(row: Execution, event: LogEvent): Execution {
  const data = event.data as unknown as Progress;
  switch (event.type) {
    case "ExecutionStarted": {
      const { slot, epoch, claude_session_id, started_at } = data;
      const started = { slot, epoch, claude_session_id, started_at };
      return { ...row, ...started, status: "running", queue_position: null };
    }
    case "SessionBound": {
      const { claude_session_id, model_used } = data;
      return { ...row, claude_session_id, model_used };
    }
    case "ToolCallStarted":
      return { ...row, tool_call_count: row.tool_call_count + 1 };
    case "SlotAcquired": {
      const { slot, epoch, timeout_seconds } = data;
      return { ...row, slot, epoch, timeout_seconds, queue_position: null, queue_reason: null };
    }
    default:
      return { ...row, queue_position: null, queue_reason: null };
  }
}

interface Stop {
  by: string;
  reason: Execution["cancel_reason"];
  phase: Execution["cancel_phase"];
}

function stopping(row: Execution, event: LogEvent): Execution {
  const { by, reason } = event.data as unknown as Stop;
  switch (event.type) {
    case "InterruptSent":
      return { ...row, cancel_phase: "interrupting" };
    case "KillSent":
      return { ...row, cancel_phase: "killing" };
    default:
      return {
        ...row,
        cancelled_by: row.cancelled_by ?? by,
        cancel_reason: row.cancel_reason ?? reason,
        cancel_phase: row.cancel_phase ?? "requested",
      };
  }
}

function end(row: Execution, status: Execution["status"], event: LogEvent): Execution {
  const outcome = event.data.outcome as Outcome;
  const endedAt = outcome.ended_at ?? event.recorded_at;
  const tookMs = row.started_at ? Date.parse(endedAt) - Date.parse(row.started_at) : null;
  return {
    ...row,
    status,
    completed_at: endedAt,
    duration_ms: outcome.duration_ms ?? tookMs,
    response: outcome.response,
    response_ref: outcome.response_ref,
    cost: outcome.cost_usd_micros === null ? null : outcome.cost_usd_micros / 1_000_000,
    usage: outcome.usage,
    num_turns: outcome.num_turns,
    context_used: outcome.context_used,
    context_max: outcome.context_max,
    model_used: outcome.model_used ?? row.model_used,
    tool_call_count: Math.max(row.tool_call_count, outcome.tool_call_count),
    exit_code: outcome.exit?.code ?? null,
    exit_signal: outcome.exit?.signal ?? null,
    queue_position: null,
    queue_reason: null,
  };
}
