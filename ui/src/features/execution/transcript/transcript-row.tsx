import { memo } from "react";
import { plainText } from "@/lib/plain-text";
import { clip } from "../log/clip";
import { ClippedText } from "../log/clipped-text";
import type { Block, Entry } from "../log/entry";
import { LineNumber } from "../log/line-number";
import type { ToolAnswer } from "../log/log-lines";
import { Marked } from "../log/marked";
import { ToolCall } from "./tool-call";
import classes from "./transcript.module.css";

interface TranscriptRowProps {
  entry: Entry;
  /** The answers to its tool calls, in the order of the calls. */
  answers: readonly (ToolAnswer | undefined)[];
  isLive: boolean;
  isTarget: boolean;
  /** Whether the piece of that number is open. */
  isOpen: (piece: number) => boolean;
  onToggle: (seq: number, piece: number) => void;
  /** Changes whenever `isOpen` may say something else about this line. */
  openKey: string;
}

/** One line of a run as people read it. */
export const TranscriptRow = memo(
  function TranscriptRow(props: TranscriptRowProps) {
    const { entry, isTarget } = props;
    return (
      <div className={classes.row} data-kind={entry.kind} data-target={isTarget || undefined}>
        <LineNumber seq={entry.seq} at={entry.at} />
        <div className={classes.pieces}>
          <Marked entry={entry}>
            <Pieces {...props} />
          </Marked>
        </div>
      </div>
    );
  },
  (before, after) =>
    before.entry === after.entry &&
    before.isLive === after.isLive &&
    before.isTarget === after.isTarget &&
    before.openKey === after.openKey &&
    before.answers.length === after.answers.length &&
    before.answers.every((answer, index) => answer === after.answers[index]),
);

function Pieces(props: TranscriptRowProps) {
  const { entry } = props;
  const name = `line-${entry.seq}`;
  switch (entry.kind) {
    case "raw":
      return <ClippedText text={entry.raw ?? ""} name={name} />;
    case "system":
      return <SystemLine entry={entry} />;
    case "result":
      return <ResultLine entry={entry} name={name} />;
    default: {
      let call = -1;
      return entry.blocks.map((block, piece) => {
        if (block.type === "tool_use") call += 1;
        const answer = block.type === "tool_use" ? props.answers[call] : undefined;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of a line do not move
          <Piece key={piece} {...props} block={block} piece={piece} answer={answer} name={name} />
        );
      });
    }
  }
}

interface PieceProps extends TranscriptRowProps {
  block: Block;
  piece: number;
  answer: ToolAnswer | undefined;
  name: string;
}

function Piece({ entry, block, piece, answer, name, isLive, isOpen, onToggle }: PieceProps) {
  const toggle = () => onToggle(entry.seq, piece);
  switch (block.type) {
    case "tool_use":
      return (
        <ToolCall
          name={block.name}
          input={block.input}
          at={entry.at}
          answer={answer}
          isLive={isLive}
          isOpen={isOpen(piece)}
          onToggle={toggle}
        />
      );
    case "thinking":
      return (
        <div className={classes.thinking}>
          <button
            type="button"
            className={classes.thinkingLine}
            aria-expanded={isOpen(piece)}
            onClick={toggle}
          >
            Thinking, {wordCount(block.text)} words
          </button>
          {isOpen(piece) && <ClippedText text={block.text} name={name} />}
        </div>
      );
    case "tool_result":
      return (
        <div className={classes.orphan} data-error={block.is_error || undefined}>
          <span className={classes.label}>{block.is_error ? "Tool error" : "Tool result"}</span>
          <ClippedText text={block.content} name={name} />
        </div>
      );
    default:
      return (
        <div className={classes.words}>
          <ClippedText text={block.text} name={name} />
        </div>
      );
  }
}

function SystemLine({ entry }: { entry: Entry }) {
  const said = entry.blocks.flatMap((block) => (block.type === "text" ? [block.text] : []));
  const text = said.length > 0 ? said.join("\n") : subtype(entry.raw);
  return <span className={classes.system}>{plainText(clip(text, 240, 1).text)}</span>;
}

function ResultLine({ entry, name }: { entry: Entry; name: string }) {
  const text = entry.blocks.flatMap((block) => (block.type === "text" ? [block.text] : []));
  return (
    <div className={classes.result}>
      <span className={classes.label}>Result</span>
      {text.length > 0 && <ClippedText text={text.join("\n")} name={name} />}
    </div>
  );
}

/** What the CLI says about itself, in its own word for it. */
function subtype(raw: string | null | undefined): string {
  const word = /"subtype"\s*:\s*"([\w.-]{1,40})"/.exec((raw ?? "").slice(0, 2_000))?.[1];
  return word ?? "system";
}

function wordCount(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}
