import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from "react";

/** Where the keyboard is in a list of rows. */
export interface RowCursor {
  /** The row that the keyboard acts on; -1 before it has been moved there. */
  readonly index: number;
  moveBy(delta: number): void;
  moveTo(index: number): void;
  onKeyDown(event: KeyboardEvent): void;
}

/**
 * Moves the focus over virtual rows.
 *
 * The row may have to be drawn first, so the focus follows after `scrollTo` has brought it into view.
 */
export function useRowCursor(
  container: RefObject<HTMLElement | null>,
  count: number,
  scrollTo: (index: number) => void,
): RowCursor {
  const [index, setIndex] = useState(-1);
  const wantsFocus = useRef(false);
  const moveTo = (next: number) => {
    const clamped = Math.min(Math.max(next, 0), count - 1);
    if (clamped < 0) return;
    wantsFocus.current = true;
    setIndex(clamped);
    scrollTo(clamped);
  };
  // Whenever rows are drawn: the wanted one may be among them now.
  useEffect(() => {
    if (!wantsFocus.current) return;
    const row = container.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
    if (!row) return;
    wantsFocus.current = false;
    row.focus({ preventScroll: true });
  });
  return {
    index,
    moveBy: (delta) => moveTo(index + delta),
    moveTo: setIndex,
    onKeyDown: (event) => {
      const next = target(event.key, index, count);
      if (next === null || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      moveTo(next);
    },
  };
}

/** Where a key leads; null when it leads nowhere. */
function target(key: string, index: number, count: number): number | null {
  switch (key) {
    case "ArrowDown":
      return index + 1;
    case "ArrowUp":
      return index - 1;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}
