/** Something that can be done: by a key, from the command palette, or both. */
export interface Action {
  readonly id: string;
  /** What it does, in the imperative. */
  readonly label: string;
  /** Under which heading it stands in the palette and in the help. */
  readonly group: string;
  /** `j`, a sequence such as `g e`, or with a modifier such as `mod+k`. */
  readonly keys?: string;
  /** Further words that it is found by. */
  readonly keywords?: string;
  readonly run: () => void;
}

/** How long the second key of a sequence may take. */
export const SEQUENCE_MS_MAX = 1_000;

/** All that can be done on the page now; what was registered last wins a key. */
export class ActionRegistry {
  readonly #sets = new Set<readonly Action[]>();
  readonly #listeners = new Set<() => void>();
  #all: readonly Action[] = [];

  /** Adds actions; gives back how to remove them. */
  add(actions: readonly Action[]): () => void {
    this.#sets.add(actions);
    this.#changed();
    return () => {
      this.#sets.delete(actions);
      this.#changed();
    };
  }

  /** Every action, each id once. */
  readonly all = (): readonly Action[] => this.#all;

  /** Tells when actions come or go. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #changed() {
    const byId = new Map<string, Action>();
    for (const set of this.#sets) for (const action of set) byId.set(action.id, action);
    this.#all = [...byId.values()];
    for (const listener of this.#listeners) listener();
  }
}

/** What the keys pressed so far mean. */
export type Match =
  | { readonly type: "run"; readonly action: Action }
  | { readonly type: "wait" }
  | { readonly type: "none" };

/** Finds the action of a sequence of keys such as `["g", "e"]`. */
export function match(actions: readonly Action[], pressed: readonly string[]): Match {
  const sequence = pressed.join(" ");
  const action = actions.findLast(({ keys }) => keys === sequence);
  if (action) return { type: "run", action };
  const isBeginning = actions.some(({ keys }) => keys?.startsWith(`${sequence} `));
  return { type: isBeginning ? "wait" : "none" };
}

/** The name of a key press, or null when it is not for us. */
export function keyName(event: KeyboardEvent): string | null {
  if (event.altKey || event.isComposing) return null;
  const hasModifier = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return hasModifier ? `mod+${key}` : key;
}
