import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { notifyDone, notifyError } from "@/components/notify";
import { copyText } from "@/lib/clipboard";
import { BulkStop } from "./bulk-stop";
import classes from "./executions.module.css";
import type { Execution } from "./fold";
import { useRerun } from "./use-rerun";

interface SelectionBarProps {
  selected: ReadonlySet<string>;
  rows: readonly Execution[];
  onClear: () => void;
}

/** How many tasks are submitted once more at once. */
const RERUNS_MAX = 20;

/** What can be done with the selected executions. */
export function SelectionBar({ selected, rows, onClear }: SelectionBarProps) {
  const [isStopping, setStopping] = useState(false);
  const rerun = useRerun();
  const ids = [...selected];
  const chosen = rows.filter(({ id }) => selected.has(id));
  const stoppable = chosen.filter(({ status }) => status === "pending" || status === "running");
  const copy = () =>
    copyText(ids.join("\n")).then(
      () => notifyDone("Copied to the clipboard"),
      (error: unknown) => notifyError("Not copied", error),
    );
  return (
    <section className={classes.selection} aria-label="Selection">
      <span role="status">{selected.size} selected</span>
      <Button
        size="compact-sm"
        color="danger"
        disabled={stoppable.length === 0}
        onClick={() => setStopping(true)}
      >
        Stop {stoppable.length > 0 && stoppable.length}
      </Button>
      <Button
        size="compact-sm"
        variant="default"
        disabled={chosen.length > RERUNS_MAX}
        loading={rerun.isPending}
        onClick={() => rerun.mutate(chosen)}
      >
        Rerun {chosen.length}
      </Button>
      {ids.length === 2 && (
        <Button
          size="compact-sm"
          variant="default"
          renderRoot={(props) => (
            <Link {...props} to="/executions/compare" search={{ a: ids[0], b: ids[1] }} />
          )}
        >
          Compare
        </Button>
      )}
      <Button size="compact-sm" variant="default" onClick={copy}>
        Copy ids
      </Button>
      <Button size="compact-sm" variant="subtle" color="gray" onClick={onClear}>
        Clear
      </Button>
      {isStopping && (
        <BulkStop
          target={{ ids: stoppable.map(({ id }) => id) }}
          onClose={() => setStopping(false)}
        />
      )}
    </section>
  );
}
