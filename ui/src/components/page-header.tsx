import type { ReactNode } from "react";
import classes from "./page-header.module.css";

interface PageHeaderProps {
  title: string;
  /** A picture before it. */
  mark?: ReactNode;
  /** A few words beside the title, such as a count. */
  aside?: ReactNode;
  /** What can be done with the page: buttons. */
  actions?: ReactNode;
}

/** The heading of a page, which also names the tab of the browser. */
export function PageHeader({ title, mark, aside, actions }: PageHeaderProps) {
  return (
    <header className={classes.header}>
      <title>{`${title} · Trinity`}</title>
      {mark}
      <h1 tabIndex={-1}>{title}</h1>
      {aside && <span className={classes.aside}>{aside}</span>}
      {actions && <div className={classes.actions}>{actions}</div>}
    </header>
  );
}
