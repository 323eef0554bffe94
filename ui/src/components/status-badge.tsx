import type { StatusLook } from "./status";
import classes from "./status-badge.module.css";

/** A status: the shape of its icon, its word, and the colour that repeats them. */
export function StatusBadge({ look }: { look: StatusLook }) {
  const Icon = look.icon;
  return (
    <span className={classes.badge} data-tone={look.tone}>
      <Icon className={classes.icon} size={16} stroke={1.9} aria-hidden />
      <span className={classes.word}>{look.word}</span>
    </span>
  );
}
