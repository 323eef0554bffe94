import { UnstyledButton } from "@mantine/core";
import { IconArrowUp } from "@tabler/icons-react";
import classes from "./new-rows-pill.module.css";

interface NewRowsPillProps {
  count: number;
  /** Whether there may be more than those counted. */
  isStale: boolean;
  onShow: () => void;
}

/** Says that rows wait to be shown, so that none moves what is being read. */
export function NewRowsPill({ count, isStale, onShow }: NewRowsPillProps) {
  const text = count === 0 ? "The list has changed" : `${count}${isStale ? "+" : ""} new`;
  const isShown = count > 0 || isStale;
  return (
    <div role="status" className={classes.place}>
      {isShown && (
        <UnstyledButton className={classes.pill} onClick={onShow}>
          <IconArrowUp size={14} aria-hidden />
          {text}
        </UnstyledButton>
      )}
    </div>
  );
}
