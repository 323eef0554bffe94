import type { LogEvent } from "@/live/event";

/** An event at a position, the rest of it as far as a test says. */
export function event(position: number, type: string, rest: Partial<LogEvent> = {}): LogEvent {
  return {
    position,
    event_id: `event-${position}`,
    type,
    stream_type: "execution",
    stream_id: "one",
    version: 1,
    recorded_at: new Date(Date.UTC(2026, 10, 21, 9, 0, position)).toISOString(),
    actor: "system",
    correlation_id: "c",
    causation_id: null,
    command_id: "c",
    data: {},
    ...rest,
  };
}

/** The request of a task, as the log has it. */
export function request(position: number, id: string, rest: Record<string, unknown> = {}) {
  return event(position, "ExecutionRequested", {
    stream_id: id,
    data: {
      agent: "scout",
      incarnation: "life",
      message: "Summarise the changelog",
      model: null,
      triggered_by: "manual",
      source: "user",
      source_agent: null,
      source_user: "user",
      parent_execution_id: null,
      schedule_id: null,
      chat_session_id: null,
      is_chat_turn: false,
      resume_session_id: null,
      timeout_seconds: null,
      max_turns: null,
      allowed_tools: null,
      tags: [],
      ...rest,
    },
  });
}

/** How a run ended well. */
export function outcome(rest: Record<string, unknown> = {}) {
  return {
    ended_at: "2026-11-21T09:01:00.000Z",
    duration_ms: 4_200,
    response: "Done.",
    response_ref: null,
    cost_usd_micros: 21_000,
    usage: null,
    num_turns: 2,
    context_used: 10,
    context_max: 200,
    model_used: "demo",
    tool_call_count: 1,
    exit: { code: 0, signal: null },
    ...rest,
  };
}
