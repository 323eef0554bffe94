import * as v from "valibot";
import type { Schemas } from "@/api/client";
import { optionalText, optionalWords } from "@/app/search-params";

type Type = Schemas["Activity"]["activity_type"];
type State = Schemas["Activity"]["activity_state"];
type Source = Schemas["Activity"]["triggered_by"];

/** What entries are about, as people say it. */
export const ACTIVITY_WORD: Record<Type, string> = {
  task_start: "Task",
  task_end: "Task ended",
  chat_start: "Chat turn",
  chat_end: "Chat turn ended",
  schedule_start: "Scheduled run",
  schedule_end: "Scheduled run ended",
  tool_call: "Tool call",
  agent_collaboration: "Called an agent",
  execution_cancelled: "Cancelled",
};

/** How far entries are, as people say it. */
export const STATE_WORD: Record<State, string> = {
  started: "Running",
  completed: "Done",
  failed: "Failed",
};

/** The types in the order of the filter. */
export const ACTIVITY_TYPES = Object.keys(ACTIVITY_WORD) as readonly Type[];

/** The states in the order of the filter. */
export const ACTIVITY_STATES = Object.keys(STATE_WORD) as readonly State[];

/** Who stands behind what happened, in the order of the filter. */
export const SOURCES: readonly Source[] = ["user", "schedule", "agent"];

/** The address of the stream is its filter, in the words of the API. */
export const activitySearch = v.object({
  type: optionalWords(ACTIVITY_TYPES),
  state: optionalWords(ACTIVITY_STATES),
  triggered_by: optionalWords(SOURCES),
  q: optionalText,
});

/** A filter as it stands in an address. */
export type ActivitySearch = v.InferOutput<typeof activitySearch>;
