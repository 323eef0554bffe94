import type { Schemas } from "@/api/client";
import { formatCount } from "@/lib/format";

/** Git's letters for what has become of a file, in words. */
const WORDS: Readonly<Record<string, string>> = {
  A: "new",
  M: "changed",
  T: "changed",
  D: "deleted",
  R: "renamed",
  C: "copied",
};

/** What has become of a file, by git's two letters: what is staged, and what is not. */
export function changeWord(code: string): string {
  if (code === "??") return "new";
  if (/^(DD|AA|.?U.?)$/.test(code)) return "in conflict";
  const letter = code.trim().charAt(0);
  return WORDS[letter] ?? code;
}

/** How a workspace stands to its repository, in words. */
export function standing({ ahead, behind, commit }: Schemas["GitStatus"]): string {
  if (commit === null) return "Nothing was committed yet";
  const parts = [
    ahead > 0 ? `${commits(ahead)} to push` : null,
    behind > 0 ? `${commits(behind)} to pull` : null,
  ].filter((part) => part !== null);
  return parts.join(", ") || "Nothing to push or pull, as far as is known";
}

function commits(count: number): string {
  return count === 1 ? "1 commit" : `${formatCount(count)} commits`;
}
