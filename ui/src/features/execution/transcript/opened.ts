/** Which pieces of a transcript are open: all or none, but for those that were turned around. */
export interface Opened {
  readonly isAll: boolean;
  readonly turned: ReadonlySet<string>;
}

/** A transcript as it begins: everything is folded. */
export const ALL_FOLDED: Opened = { isAll: false, turned: new Set() };

/** Whether a piece of a line is open. */
export function isOpen({ isAll, turned }: Opened, seq: number, piece: number): boolean {
  return isAll !== turned.has(`${seq}.${piece}`);
}

/** Opens a piece that is folded, and folds one that is open. */
export function turn(opened: Opened, seq: number, piece: number): Opened {
  const turned = new Set(opened.turned);
  const key = `${seq}.${piece}`;
  if (!turned.delete(key)) turned.add(key);
  return { ...opened, turned };
}

/** Opens everything, or folds it. */
export function turnAll({ isAll }: Opened): Opened {
  return { isAll: !isAll, turned: new Set() };
}
