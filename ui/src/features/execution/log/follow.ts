/** Whether a log stays at its end, and what there was when it last was there. */
export interface Follow {
  readonly isFollowing: boolean;
  /** How many lines there were when the reader left the end; null while at it. */
  readonly leftAt: number | null;
}

/** What happens to a log that is read. */
export type FollowChange =
  /** The view has moved; `byReader` when a wheel, a finger, a key or the scroll bar did it. */
  | {
      readonly type: "scrolled";
      readonly byReader: boolean;
      readonly direction: "up" | "down" | "none";
      readonly isAtEnd: boolean;
      readonly total: number;
    }
  /** The reader asks for the end, or for a place. */
  | { readonly type: "jumped-to-end" }
  | { readonly type: "jumped-to-line"; readonly total: number };

/** A log that stays at its end. */
export const FOLLOWING: Follow = { isFollowing: true, leftAt: null };

/**
 * The follow state after a change.
 *
 * Only a reader who moves up leaves the end: lines that grow, a window that shrinks or a jump of the
 * view by itself never do. Coming back to the end, however, is enough to follow again.
 */
export function followed(follow: Follow, change: FollowChange): Follow {
  switch (change.type) {
    case "jumped-to-end":
      return FOLLOWING;
    case "jumped-to-line":
      return { isFollowing: false, leftAt: follow.leftAt ?? change.total };
    case "scrolled": {
      if (change.byReader && change.direction === "up" && !change.isAtEnd && follow.isFollowing) {
        return { isFollowing: false, leftAt: change.total };
      }
      const comesBack = change.isAtEnd && change.byReader && change.direction === "down";
      return comesBack && !follow.isFollowing ? FOLLOWING : follow;
    }
  }
}

/** How many lines have come since the reader left the end. */
export function unseen({ leftAt }: Follow, total: number): number {
  return leftAt === null ? 0 : Math.max(0, total - leftAt);
}
