import { UnstyledButton } from "@mantine/core";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import classes from "./new-rows-pill.module.css";

interface NewRowsPillProps {
  count: number;
  /** Whether there may be more than those counted. */
  isStale: boolean;
  onShow: () => void;
  /** Where they wait: above the first row, or below the last one. */
  edge?: "start" | "end";
}

/** Says that rows wait to be shown, so that none moves what is being read. */
export function NewRowsPill({ count, isStale, onShow, edge = "start" }: NewRowsPillProps) {
  const text = count === 0 ? "The list has changed" : `${count}${isStale ? "+" : ""} new`;
  const isShown = count > 0 || isStale;
  const Arrow = edge === "start" ? IconArrowUp : IconArrowDown;
  return (
    <div role="status" className={classes.place} data-edge={edge}>
      {isShown && (
        <UnstyledButton className={classes.pill} onClick={onShow}>
          <Arrow size={14} aria-hidden />
          {text}
        </UnstyledButton>
      )}
    </div>
  );
}
