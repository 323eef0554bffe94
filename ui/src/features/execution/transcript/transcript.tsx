import { Button } from "@mantine/core";
import { useState } from "react";
import { useActions } from "@/app/actions/use-actions";
import type { Execution } from "@/features/executions/fold";
import type { Entry } from "../log/entry";
import { SHAPE } from "../log/log-lines";
import { LogPanel } from "../log/log-panel";
import type { LogSource } from "../log/log-source";
import { ALL_FOLDED, isOpen, turn, turnAll } from "./opened";
import { TranscriptRow } from "./transcript-row";

// As the styles have it, so that most lines need not be laid out anew once they are drawn.
const LINE_HEIGHT = 33;
const CALL_HEIGHT = 37;

/** What an agent said and did, tool calls folded with their answers. */
export function Transcript({ execution, q }: { execution: Execution; q: string | undefined }) {
  const [opened, setOpened] = useState(ALL_FOLDED);
  const all = () => setOpened(turnAll);
  useActions([{ id: "log.all", label: "Expand or fold all", group: "Log", keys: "e", run: all }]);
  return (
    <LogPanel
      execution={execution}
      q={q}
      label="Transcript"
      estimate={estimate}
      tools={
        <Button size="compact-xs" variant="default" onClick={all}>
          {opened.isAll ? "Fold all" : "Expand all"}
        </Button>
      }
      row={(entry, { source, isLive, isTarget }) =>
        source.lines.isFolded(entry) ? null : (
          <TranscriptRow
            entry={entry}
            answers={answersOf(entry, source)}
            isLive={isLive}
            isTarget={isTarget}
            isOpen={(piece) => isOpen(opened, entry.seq, piece)}
            openKey={entry.blocks.map((_, piece) => isOpen(opened, entry.seq, piece)).join()}
            onToggle={(seq, piece) => setOpened((now) => turn(now, seq, piece))}
          />
        )
      }
    />
  );
}

function answersOf({ blocks }: Entry, { lines }: LogSource) {
  return blocks.flatMap((block) => (block.type === "tool_use" ? [lines.answer(block.id)] : []));
}

function estimate(shape: number): number {
  switch (shape) {
    case SHAPE.folded:
      return 0;
    case SHAPE.call:
      return CALL_HEIGHT;
    default:
      return LINE_HEIGHT;
  }
}
