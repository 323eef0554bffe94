import { Button } from "@mantine/core";
import { notifyDone, notifyError } from "@/components/notify";
import { copyText } from "@/lib/clipboard";
import classes from "./executions.module.css";

interface SelectionBarProps {
  selected: ReadonlySet<string>;
  onClear: () => void;
}

/** What can be done with the selected executions. */
export function SelectionBar({ selected, onClear }: SelectionBarProps) {
  const copy = () =>
    copyText([...selected].join("\n")).then(
      () => notifyDone("Copied to the clipboard"),
      (error: unknown) => notifyError("Not copied", error),
    );
  return (
    <section className={classes.selection} aria-label="Selection">
      <span role="status">{selected.size} selected</span>
      <Button size="compact-sm" variant="default" onClick={() => void copy()}>
        Copy ids
      </Button>
      <Button size="compact-sm" variant="subtle" color="gray" onClick={onClear}>
        Clear
      </Button>
    </section>
  );
}
