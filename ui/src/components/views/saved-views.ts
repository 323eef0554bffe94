import type { Stored } from "@/lib/storage";

/** How many views a list keeps. */
export const VIEWS_MAX = 50;

/** A filter under a name. */
export interface SavedView {
  readonly name: string;
  readonly search: Readonly<Record<string, string>>;
}

/** The saved views of a list, in this browser. */
export function savedViews(list: string): Stored<readonly SavedView[]> {
  return {
    key: `views.${list}`,
    parse: (stored) => (Array.isArray(stored) ? stored.filter(isView).slice(0, VIEWS_MAX) : []),
  };
}

/** The views with one more; one of the same name is replaced. */
export function withView(views: readonly SavedView[], view: SavedView): readonly SavedView[] {
  const others = views.filter(({ name }) => name !== view.name);
  return [...others, view].slice(-VIEWS_MAX);
}

/** A filter without what it says nothing about. */
export function definedOnly(search: object): Record<string, string> {
  const defined = Object.entries(search).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined.map(([name, value]) => [name, String(value)]));
}

function isView(value: unknown): value is SavedView {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as SavedView).name === "string" &&
    typeof (value as SavedView).search === "object"
  );
}
