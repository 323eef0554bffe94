import { memo } from "react";
import type { Execution } from "@/features/executions/fold";
import { ClippedText } from "./clipped-text";
import { type Entry, lineText } from "./entry";
import { LineNumber } from "./line-number";
import classes from "./log.module.css";
import { LogPanel } from "./log-panel";
import { Marked } from "./marked";

const LINE_HEIGHT = 20;

/** Everything that was printed, line by line, as a terminal would have it. */
export function RawLog({ execution, q }: { execution: Execution; q: string | undefined }) {
  return (
    <LogPanel
      execution={execution}
      q={q}
      label="Raw log"
      estimate={estimate}
      row={(entry, { isTarget }) => <RawRow entry={entry} isTarget={isTarget} />}
    />
  );
}

function estimate(): number {
  return LINE_HEIGHT;
}

const RawRow = memo(function RawRow({ entry, isTarget }: { entry: Entry; isTarget: boolean }) {
  return (
    <div className={classes.raw} data-stream={entry.stream} data-target={isTarget || undefined}>
      <LineNumber seq={entry.seq} at={entry.at} />
      <div className={classes.marked}>
        <Marked entry={entry}>
          <ClippedText text={lineText(entry)} name={`line-${entry.seq}`} />
        </Marked>
      </div>
    </div>
  );
});
