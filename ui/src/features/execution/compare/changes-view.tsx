import { plainText } from "@/lib/plain-text";
import { clip } from "../log/clip";
import { type Change, folded } from "./changes";
import classes from "./compare.module.css";

const SIGN = { both: " ", a: "A", b: "B" } as const;

/** How many lines of a comparison are shown. */
const ROWS_MAX = 1_000;

/** How much of one line is shown. */
const LINE_CHARS_MAX = 1_000;

/** Where two texts differ: what is of the first alone, of the second alone, and around it of both. */
export function ChangesView({ changes }: { changes: readonly Change[] }) {
  const rows = folded(changes);
  if (changes.length === 0) return <p className={classes.none}>Neither has any</p>;
  if (changes.every(({ side }) => side === "both")) {
    return <p className={classes.none}>No difference</p>;
  }
  return (
    <div className={classes.changes}>
      {rows.slice(0, ROWS_MAX).map((row, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines of a comparison do not move
        <Row key={index} row={row} />
      ))}
      {rows.length > ROWS_MAX && <p className={classes.none}>and more</p>}
    </div>
  );
}

function Row({ row }: { row: Change | number }) {
  if (typeof row === "number") {
    return <div className={classes.alike}>{row === 1 ? "1 line" : `${row} lines`} alike</div>;
  }
  return (
    <div className={classes.change} data-side={row.side}>
      <span className={classes.sign}>
        <span className="visually-hidden">{row.side === "both" ? "both" : "only "}</span>
        {SIGN[row.side]}
      </span>
      <bdi>{plainText(clip(row.text, LINE_CHARS_MAX).text)}</bdi>
    </div>
  );
}
