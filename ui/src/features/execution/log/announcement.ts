/** How often at most a reader is told what has come. */
export const ANNOUNCE_EVERY_MS = 10_000;

/** What has come since it was last told, in words; empty when nothing has. */
export function announcement(lines: number, failures: number): string {
  if (lines === 0) return "";
  const count = (n: number, word: string) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const errors = failures === 0 ? "" : `, ${count(failures, "error")}`;
  return `${count(lines, "new line")}${errors}`;
}
