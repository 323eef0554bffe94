import type { Schemas } from "@/api/client";

/** A task as it is written, every field a text. */
export interface TaskForm {
  readonly message: string;
  readonly model: string;
  readonly timeout: string;
  readonly turns: string;
  readonly tools: string;
}

/** A task that says nothing yet. */
export const EMPTY_TASK: TaskForm = { message: "", model: "", timeout: "", turns: "", tools: "" };

/** The fields that a refusal can name, as the API calls them. */
export const TASK_POINTERS = [
  "/message",
  "/model",
  "/timeout_seconds",
  "/max_turns",
  "/allowed_tools",
] as const;

/** The task as the API takes it; it answers as soon as the log has it. */
export function taskOf({ message, model, timeout, turns, tools }: TaskForm): Schemas["Task"] {
  const number = (text: string) => (text.trim() === "" ? undefined : Number(text));
  const names = tools.split(",").map((tool) => tool.trim());
  const allowed_tools = names.filter((tool) => tool !== "");
  return {
    message,
    model: model.trim() || undefined,
    timeout_seconds: number(timeout),
    max_turns: number(turns),
    allowed_tools: allowed_tools.length === 0 ? undefined : allowed_tools,
    async_mode: true,
  };
}
