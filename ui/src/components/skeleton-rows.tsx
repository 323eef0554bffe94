import { Skeleton } from "@mantine/core";
import classes from "./skeleton-rows.module.css";
import { useDelayed } from "./use-delayed";

/** Rows of the final size while a list is read; nothing at all for the first moment. */
export function SkeletonRows({ rows = 8, height = 44 }: { rows?: number; height?: number }) {
  const isShown = useDelayed(true);
  if (!isShown) return null;
  return (
    <div role="status">
      <span className="visually-hidden">Loading</span>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all the same
        <div key={row} className={classes.row} style={{ height }} aria-hidden>
          <Skeleton height={12} width={88} radius={4} />
          <Skeleton height={12} width={64} radius={4} />
          <Skeleton height={12} width={`${62 - ((row * 17) % 30)}%`} radius={4} />
        </div>
      ))}
    </div>
  );
}
