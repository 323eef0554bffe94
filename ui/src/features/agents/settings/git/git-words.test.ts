import { expect, it } from "vitest";
import { changeWord, standing } from "./git-words";

it("says in words what git says in letters", () => {
  const words = ["??", " M", "M ", "MM", "A ", " D", "R ", "UU", "AA", "DU", "X "].map(changeWord);
  expect(words).toEqual([
    "new",
    "changed",
    "changed",
    "changed",
    "new",
    "deleted",
    "renamed",
    "in conflict",
    "in conflict",
    "in conflict",
    "X ",
  ]);
});

it("says how a workspace stands to its repository", () => {
  const status = (ahead: number, behind: number, commit: string | null = "c0ffee") =>
    standing({
      agent_name: "scout",
      branch: "main",
      commit,
      ahead,
      behind,
      changes: [],
      has_more_changes: false,
      position: 1,
    });
  expect(status(0, 0)).toMatch(/^Nothing to push or pull/);
  expect(status(1, 0)).toBe("1 commit to push");
  expect(status(2, 3)).toBe("2 commits to push, 3 commits to pull");
  expect(status(0, 0, null)).toBe("Nothing was committed yet");
});
