import { expect, it } from "vitest";
import { type Activity, FOLDED_FROM, rowsOf } from "./tree";

const entry = (id: string, parent: string | null, rest: Partial<Activity> = {}): Activity => ({
  id,
  agent_name: "scout",
  incarnation: "life",
  activity_type: "tool_call",
  activity_state: "completed",
  parent_activity_id: parent,
  started_at: "2026-11-21T09:00:00.000Z",
  completed_at: null,
  duration_ms: null,
  triggered_by: "user",
  user_id: null,
  related_execution_id: "run",
  details: {},
  error: null,
  cost: null,
  created_at: "2026-11-21T09:00:00.000Z",
  ...rest,
});
const none: ReadonlySet<string> = new Set();
const said = (rows: ReturnType<typeof rowsOf>) =>
  rows.map(({ activity, depth }) => `${"-".repeat(depth)}${activity.id}`);

it("puts entries below what led to them, oldest first, and roots newest first", () => {
  // As the server lists them: newest first.
  const list = [
    entry("later", null, { activity_type: "task_start" }),
    entry("tool-2", "task"),
    entry("tool-1", "task"),
    entry("task", null, { activity_type: "task_start" }),
  ];
  expect(said(rowsOf(list, none))).toEqual(["later", "task", "-tool-1", "-tool-2"]);
});

it("leaves out what closes an entry that is there, and keeps it where that is not", () => {
  const end = entry("end", "task", { activity_type: "task_end" });
  const task = entry("task", null, { activity_type: "task_start" });
  expect(said(rowsOf([end, task], none))).toEqual(["task"]);
  expect(said(rowsOf([end], none))).toEqual(["end"]);
});

it("follows a call through the agents that it crossed", () => {
  const list = [
    entry("theirs", "call", { activity_type: "task_start" }),
    entry("call", "task", { activity_type: "agent_collaboration" }),
    entry("task", null, { activity_type: "task_start" }),
  ];
  expect(said(rowsOf(list, none))).toEqual(["task", "-call", "--theirs"]);
});

it("folds what is many, until somebody opens it", () => {
  const many = Array.from({ length: FOLDED_FROM }, (_, index) => entry(`tool-${index}`, "task"));
  const list = [...many, entry("task", null, { activity_type: "task_start" })];
  const folded = rowsOf(list, none);
  expect(folded).toHaveLength(1);
  expect(folded[0]).toMatchObject({ below: FOLDED_FROM, isOpen: false });
  expect(rowsOf(list, new Set(["task"]))).toHaveLength(FOLDED_FROM + 1);
});
