import classes from "./slot-bar.module.css";

interface SlotBarProps {
  active: number;
  max: number;
  queued: number;
}

/** Above so many slots a bar is divided no further. */
const SEGMENTS_MAX = 12;

/** How many slots of an agent are taken, and how many executions wait for one. */
export function SlotBar({ active, max, queued }: SlotBarProps) {
  const segments = Math.min(max, SEGMENTS_MAX);
  const taken = max === 0 ? 0 : Math.ceil((Math.min(active, max) / max) * segments);
  return (
    <span className={classes.slots}>
      <span className={classes.bar} aria-hidden>
        {Array.from({ length: segments }, (_, slot) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: slots have no other name
          <span key={slot} className={classes.slot} data-taken={slot < taken || undefined} />
        ))}
      </span>
      <span className="numeric">
        {active}/{max}
        <span className="visually-hidden"> slots taken</span>
      </span>
      {queued > 0 && <span className={classes.queued}>+{queued} queued</span>}
    </span>
  );
}
