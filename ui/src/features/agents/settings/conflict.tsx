import { UnstyledButton } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./settings.module.css";

interface ConflictProps {
  /** What has happened. */
  children: ReactNode;
  /** What somebody else has set is wanted. */
  onTake: () => void;
  /** What is being written is wanted all the same. */
  onKeep: () => void;
}

/** Says that somebody else has set the same, and asks which of both is wanted. */
export function Conflict({ children, onTake, onKeep }: ConflictProps) {
  return (
    <p className={classes.conflict} role="alert">
      {children}
      <UnstyledButton className={classes.choice} onClick={onTake}>
        Take that
      </UnstyledButton>
      <UnstyledButton className={classes.choice} onClick={onKeep}>
        Keep mine
      </UnstyledButton>
    </p>
  );
}
