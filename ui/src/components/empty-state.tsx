import { IconInbox } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { CommandLine } from "./command-line";
import classes from "./notice.module.css";

interface EmptyStateProps {
  title: string;
  /** Of which order the title is: 1 where it is that of the whole page. */
  order?: 1 | 2;
  children?: ReactNode;
  /** What can be done about it: buttons. */
  actions?: ReactNode;
  /** The command that does the same on a terminal. */
  command?: string;
}

/** What a page shows that has nothing to show, and what to do about it. */
export function EmptyState({ title, order = 2, children, actions, command }: EmptyStateProps) {
  const Heading = order === 1 ? "h1" : "h2";
  return (
    <div className={classes.notice}>
      <IconInbox className={classes.icon} size={32} stroke={1.3} aria-hidden />
      <Heading className={classes.title}>{title}</Heading>
      {children && <p className={classes.text}>{children}</p>}
      {actions && <div className={classes.actions}>{actions}</div>}
      {command && <CommandLine command={command} />}
    </div>
  );
}
