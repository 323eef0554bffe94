import { expect, it } from "vitest";
import type { Agent } from "@/features/agents/fold";
import { AGENTS_MAX, shownAgents, upAndDown } from "./fleet";

const agent = (name: string, active = 0, queued = 0, phase = "running") =>
  ({ name, phase, slots: { active, queued, max: 3 } }) as Agent;

const many = Array.from({ length: AGENTS_MAX + 10 }, (_, index) =>
  agent(`agent-${String(index).padStart(3, "0")}`, index === 42 ? 3 : 0, index === 7 ? 9 : 0),
);

it("shows a small fleet by name, however busy", () => {
  const { shown, isCut } = shownAgents([agent("b", 3), agent("a")]);
  expect(shown.map(({ name }) => name)).toEqual(["a", "b"]);
  expect(isCut).toBe(false);
});

it("shows the busiest of a large fleet: who works, then who is waited for", () => {
  const { shown, isCut } = shownAgents(many);
  expect(shown).toHaveLength(AGENTS_MAX);
  expect(isCut).toBe(true);
  expect(shown.slice(0, 3).map(({ name }) => name)).toEqual([
    "agent-042",
    "agent-007",
    "agent-000",
  ]);
});

it("counts as down whatever cannot be given work now", () => {
  const fleet = [agent("a"), agent("b", 0, 0, "stopped"), agent("c", 0, 0, "failed")];
  expect(upAndDown(fleet)).toEqual({ up: 1, down: 2 });
});
