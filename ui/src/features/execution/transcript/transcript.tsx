import { Button } from "@mantine/core";
import { useState } from "react";
import { useActions } from "@/app/actions/use-actions";
import type { Execution } from "@/features/executions/fold";
import type { Entry } from "../log/entry";
import { LogPanel } from "../log/log-panel";
import type { LogSource } from "../log/log-source";
import { ALL_FOLDED, isOpen, turn, turnAll } from "./opened";
import { TranscriptRow } from "./transcript-row";

const LINE_HEIGHT = 32;

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

function estimate(entry: Entry | undefined, { lines }: LogSource): number {
  return entry && lines.isFolded(entry) ? 0 : LINE_HEIGHT;
}
