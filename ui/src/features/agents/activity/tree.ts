import type { Schemas } from "@/api/client";
import { groupBy } from "@/lib/group-by";

/** An entry of the activity stream. */
export type Activity = Schemas["Activity"];

/** From so many entries below another on they are folded until somebody opens them. */
export const FOLDED_FROM = 9;

/** A row of the stream: an entry and how deep it stands below others. */
export interface ActivityRow {
  readonly activity: Activity;
  readonly depth: number;
  /** How many entries stand below it, at any depth. */
  readonly below: number;
  /** Whether those are shown. */
  readonly isOpen: boolean;
}

/**
 * The rows of the stream: newest first, and below each entry what it led to, oldest first.
 *
 * What closes an entry is left out where the entry itself is there, as that says how it ended. An
 * entry whose own parent was not read stands for itself. `toggled` names the entries that somebody
 * has opened or folded against the rule.
 */
export function rowsOf(
  activities: readonly Activity[],
  toggled: ReadonlySet<string>,
): ActivityRow[] {
  const known = new Set(activities.map(({ id }) => id));
  const parentOf = ({ parent_activity_id: id }: Activity) =>
    id !== null && known.has(id) ? id : null;
  const shown = activities.filter(
    (activity) => !(activity.activity_type.endsWith("_end") && parentOf(activity) !== null),
  );
  const byParent = groupBy(shown, parentOf);
  const rows: ActivityRow[] = [];
  const add = (activity: Activity, depth: number): number => {
    const children = [...(byParent.get(activity.id) ?? [])].reverse();
    const isFolded = children.length >= FOLDED_FROM !== toggled.has(activity.id);
    const row = { activity, depth, below: 0, isOpen: children.length > 0 && !isFolded };
    const place = rows.push(row) - 1;
    let below = 0;
    for (const child of children) below += 1 + add(child, depth + 1);
    if (isFolded) rows.length = place + 1;
    rows[place] = { ...row, below };
    return below;
  };
  for (const root of byParent.get(null) ?? []) add(root, 0);
  return rows;
}
