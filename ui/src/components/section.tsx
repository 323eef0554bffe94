import { type ReactNode, useId } from "react";
import { ErrorBoundary } from "./error-boundary";
import classes from "./section.module.css";

interface SectionProps {
  title: string;
  /** What can be done with it: buttons or a link, at the end of its heading. */
  actions?: ReactNode;
  children: ReactNode;
}

/** A region of a page with its heading; a failure inside stays inside. */
export function Section({ title, actions, children }: SectionProps) {
  const id = useId();
  return (
    <section className={classes.section} aria-labelledby={id}>
      <header className={classes.header}>
        <h2 id={id} className={classes.title}>
          {title}
        </h2>
        {actions}
      </header>
      <ErrorBoundary>{children}</ErrorBoundary>
    </section>
  );
}
