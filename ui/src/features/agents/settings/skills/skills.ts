import type { Schemas } from "@/api/client";

/** A skill as the settings of an agent show it. */
export interface SkillRow {
  readonly name: string;
  readonly description: string | null;
  /** Why it cannot be given to an agent; one that has it keeps it. */
  readonly problem: string | null;
  readonly isAttached: boolean;
}

/** The skills of the library and of an agent in one list: those that it has first, each by name. */
export function skillRows(
  library: readonly Schemas["LibrarySkill"][],
  attached: readonly string[],
): SkillRow[] {
  const known = new Set(library.map(({ name }) => name));
  const gone = attached
    .filter((name) => !known.has(name))
    .map((name) => ({ name, description: null, error: "It is not in the library any more." }));
  return [...library, ...gone]
    .map(({ name, description, error }) => ({
      name,
      description,
      problem: error,
      isAttached: attached.includes(name),
    }))
    .sort((a, b) => Number(b.isAttached) - Number(a.isAttached) || (a.name < b.name ? -1 : 1));
}
