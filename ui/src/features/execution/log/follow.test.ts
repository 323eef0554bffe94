import { describe, expect, it } from "vitest";
import { FOLLOWING, type FollowChange, followed, unseen } from "./follow";

const scrolled = (rest: Partial<FollowChange & { type: "scrolled" }>): FollowChange => ({
  type: "scrolled",
  byReader: true,
  direction: "up",
  isAtEnd: false,
  total: 100,
  ...rest,
});

describe("following", () => {
  it("ends when the reader scrolls up, and counts what comes from then on", () => {
    const left = followed(FOLLOWING, scrolled({}));
    expect(left.isFollowing).toBe(false);
    expect(unseen(left, 128)).toBe(28);
    expect(unseen(followed(left, scrolled({ total: 120 })), 128)).toBe(28);
  });

  it("goes on when lines, windows or measurements move the view", () => {
    expect(followed(FOLLOWING, scrolled({ byReader: false }))).toBe(FOLLOWING);
    expect(followed(FOLLOWING, scrolled({ byReader: false, direction: "none" }))).toBe(FOLLOWING);
  });

  it("does not end by a movement that leaves the end in view", () => {
    expect(followed(FOLLOWING, scrolled({ isAtEnd: true }))).toBe(FOLLOWING);
  });

  it("begins again when the reader comes back to the end, and not when the end comes to the reader", () => {
    const left = followed(FOLLOWING, scrolled({}));
    expect(followed(left, scrolled({ byReader: false, isAtEnd: true, direction: "down" }))).toBe(
      left,
    );
    expect(followed(left, scrolled({ isAtEnd: true, direction: "down" }))).toEqual(FOLLOWING);
  });

  it("ends by a jump to a line, and begins by one to the end", () => {
    const left = followed(FOLLOWING, { type: "jumped-to-line", total: 7 });
    expect(left).toEqual({ isFollowing: false, leftAt: 7 });
    expect(followed(left, { type: "jumped-to-end" })).toEqual(FOLLOWING);
    expect(unseen(FOLLOWING, 9)).toBe(0);
  });
});
