import { Button } from "@mantine/core";
import classes from "./executions.module.css";

interface SelectionBarProps {
  selected: ReadonlySet<string>;
  onClear: () => void;
}

/** What can be done with the selected executions. */
export function SelectionBar({ selected, onClear }: SelectionBarProps) {
  const copy = () => void navigator.clipboard.writeText([...selected].join("\n"));
  return (
    <section className={classes.selection} aria-label="Selection">
      <span role="status">{selected.size} selected</span>
      <Button size="compact-sm" variant="default" onClick={copy}>
        Copy ids
      </Button>
      <Button size="compact-sm" variant="subtle" color="gray" onClick={onClear}>
        Clear
      </Button>
    </section>
  );
}
