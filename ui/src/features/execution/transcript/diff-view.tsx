import { plainText } from "@/lib/plain-text";
import { clip } from "../log/clip";
import type { FileChange } from "./tool-view";
import classes from "./transcript.module.css";

const MEANING = { "+": "added", "-": "removed", " ": undefined, "@": undefined } as const;

/** How much of one line of a change is shown. */
const LINE_CHARS_MAX = 1_000;

/** A change of a file, line by line. */
export function DiffView({ change }: { change: FileChange }) {
  return (
    <div className={classes.diff}>
      {change.lines.map(({ sign, text }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines of a change do not move
        <div key={index} className={classes.diffLine} data-change={MEANING[sign]}>
          <span className={classes.sign}>
            {sign === "@" ? " " : sign}
            {MEANING[sign] && <span className="visually-hidden"> {MEANING[sign]}: </span>}
          </span>
          <bdi>{plainText(clip(text, LINE_CHARS_MAX).text)}</bdi>
        </div>
      ))}
      {change.isCut && <div className={classes.diffMore}>and more</div>}
    </div>
  );
}
