import type { ReactNode } from "react";
import { droppedText, type Entry, truncatedText } from "./entry";
import classes from "./log.module.css";

/** A line between the words that say what is missing before it and of it. */
export function Marked({ entry, children }: { entry: Entry; children: ReactNode }) {
  const [dropped, truncated] = [droppedText(entry), truncatedText(entry)];
  return (
    <>
      {dropped !== null && <div className={classes.mark}>{dropped}</div>}
      {children}
      {truncated !== null && <div className={classes.mark}>{truncated}</div>}
    </>
  );
}
