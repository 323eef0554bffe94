import type { Agent } from "@/features/agents/fold";

/** Up to so many agents all are shown, in the order of their names. */
export const AGENTS_MAX = 50;

/** The agents whose slots are shown: all of a small fleet, the busiest of a large one. */
export function shownAgents(agents: readonly Agent[]): {
  readonly shown: readonly Agent[];
  readonly isCut: boolean;
} {
  const byName = agents.toSorted((a, b) => a.name.localeCompare(b.name));
  if (byName.length <= AGENTS_MAX) return { shown: byName, isCut: false };
  const busiest = byName.sort((a, b) => load(b) - load(a));
  return { shown: busiest.slice(0, AGENTS_MAX), isCut: true };
}

/** What an agent does and what waits for it, more than anything else what it does. */
function load({ slots }: Agent): number {
  return slots.active + slots.queued / 1_000_000;
}

/** How many agents can be given work at once, and how many can not. */
export function upAndDown(agents: readonly Agent[]): { up: number; down: number } {
  const up = agents.filter(({ phase }) => phase === "running").length;
  return { up, down: agents.length - up };
}
