import { Time } from "@/components/time";
import classes from "./log.module.css";

/** When a line was printed; a link to it. An anchor of its own: there are many, and all alike. */
export function LineNumber({ seq, at }: { seq: number; at: string }) {
  return (
    <a className={classes.number} href={`#seq=${seq}`} tabIndex={-1} title={`Line ${seq}`}>
      <Time at={at} format="time" />
    </a>
  );
}
