import { expect, it } from "vitest";
import { skillRows } from "./skills";

const skill = (name: string, error: string | null = null) => ({
  name,
  description: error === null ? `what ${name} does` : null,
  error,
});

it("lists what an agent has first, also what the library lost", () => {
  const rows = skillRows(
    [skill("brief"), skill("plain"), skill("torn", "no SKILL.md")],
    ["plain", "old"],
  );
  expect(rows.map(({ name, isAttached }) => [name, isAttached])).toEqual([
    ["old", true],
    ["plain", true],
    ["brief", false],
    ["torn", false],
  ]);
  expect(rows.map(({ problem }) => problem !== null)).toEqual([true, false, false, true]);
});
