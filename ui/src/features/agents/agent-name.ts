/** The longest name, in characters. */
export const NAME_LENGTH_MAX = 63;

const RESERVED: ReadonlySet<string> = new Set(["slots", "trinity-system"]);

/** What is wrong with a name, by the rules of the server, and the nearest one that is right. */
export interface NameProblem {
  readonly detail: string;
  readonly suggestion: string | null;
}

/** Checks a name while it is written; null when the server would take it. */
export function nameProblem(name: string, taken: ReadonlySet<string>): NameProblem | null {
  if (RESERVED.has(name)) return { detail: `“${name}” is reserved.`, suggestion: null };
  if (taken.has(name)) {
    return { detail: "There is an agent of this name.", suggestion: free(name, taken) };
  }
  if (/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name) && name.length <= NAME_LENGTH_MAX) return null;
  const detail =
    name.length > NAME_LENGTH_MAX
      ? `A name has ${NAME_LENGTH_MAX} characters at most; this has ${name.length}.`
      : "Lowercase letters, digits and hyphens between them.";
  return { detail, suggestion: sanitized(name) };
}

/** The nearest name that is right; null when nothing of it can be used. */
function sanitized(name: string): string | null {
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return words.join("-").slice(0, NAME_LENGTH_MAX).replace(/-+$/, "") || null;
}

/** The name with the first number that is not taken. */
function free(name: string, taken: ReadonlySet<string>): string {
  let number = 2;
  while (taken.has(`${name}-${number}`)) number += 1;
  return `${name}-${number}`;
}
