import type { ReactNode } from "react";
import classes from "./properties.module.css";

/** A fact about something: its name and what it is. */
export interface Property {
  readonly name: string;
  readonly value: ReactNode;
}

/** The facts about something, name by name. */
export function Properties({ items }: { items: readonly Property[] }) {
  return (
    <dl className={classes.list}>
      {items.map(({ name, value }) => (
        <div key={name} className={classes.item}>
          <dt className={classes.name}>{name}</dt>
          <dd className={classes.value}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
