import classes from "./hairline-progress.module.css";
import { useDelayed } from "./use-delayed";

/** A line that says that what is shown is being read again. */
export function HairlineProgress({ isActive }: { isActive: boolean }) {
  const isShown = useDelayed(isActive);
  return <div className={classes.line} data-active={isShown || undefined} aria-hidden />;
}
