import { IconAlertOctagon, IconChevronRight } from "@tabler/icons-react";
import { useMemo } from "react";
import { Duration } from "@/components/duration";
import { formatCount } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import { clip } from "../log/clip";
import { ClippedText } from "../log/clipped-text";
import { inputPreview, lineCount } from "../log/entry";
import type { ToolAnswer } from "../log/log-lines";
import { DiffView } from "./diff-view";
import { fileChange } from "./tool-view";
import classes from "./transcript.module.css";

/** How much of an input stands in the folded line. */
const PREVIEW_CHARS = 240;

interface ToolCallProps {
  name: string;
  input: unknown;
  /** When it was called, RFC 3339. */
  at: string;
  answer: ToolAnswer | undefined;
  /** Whether an answer can still come. */
  isLive: boolean;
  isOpen: boolean;
  onToggle: () => void;
}

/** A call of a tool in one line; what went in and what came out when it is open. */
export function ToolCall({ name, input, at, answer, isLive, isOpen, onToggle }: ToolCallProps) {
  const change = useMemo(() => fileChange(name, input), [name, input]);
  const preview = change?.path || inputPreview(input);
  return (
    <div className={classes.call} data-error={answer?.isError || undefined}>
      <button type="button" className={classes.callLine} aria-expanded={isOpen} onClick={onToggle}>
        <IconChevronRight className={classes.chevron} size={14} aria-hidden />
        <span className={classes.tool}>{plainText(clip(name, 80).text)}</span>
        <bdi className={classes.preview}>{plainText(clip(preview, PREVIEW_CHARS, 1).text)}</bdi>
        {change && (
          <span className={classes.counts}>
            <span data-change="added">+{change.added}</span>{" "}
            <span data-change="removed">−{change.removed}</span>
          </span>
        )}
        <Outcome at={at} answer={answer} isLive={isLive} />
      </button>
      {isOpen && (
        <div className={classes.callBody}>
          {change ? <DiffView change={change} /> : <Input name={name} input={input} />}
          {answer && (
            <div>
              <p className={classes.label}>{answer.isError ? "Error" : "Result"}</p>
              {answer.content === "" ? (
                <p className={classes.none}>No output</p>
              ) : (
                <ClippedText text={answer.content} name={`${name}-${answer.seq}`} canCopy />
              )}
            </div>
          )}
        </div>
      )}
    </div>
  );
}

function Outcome({ at, answer, isLive }: Pick<ToolCallProps, "at" | "answer" | "isLive">) {
  if (!answer) {
    return (
      <span className={classes.outcome}>
        {isLive ? <Duration ms={null} since={at} /> : "no result"}
      </span>
    );
  }
  const lines = lineCount(answer.content);
  return (
    <span className={classes.outcome}>
      {answer.isError && (
        <span className={classes.failed}>
          <IconAlertOctagon size={14} aria-hidden /> error
        </span>
      )}
      <span className={classes.size}>{lines === 1 ? "1 line" : `${formatCount(lines)} lines`}</span>
      <Duration ms={Math.max(0, Date.parse(answer.at) - Date.parse(at))} since={null} />
    </span>
  );
}

function Input({ name, input }: Pick<ToolCallProps, "name" | "input">) {
  const fields =
    typeof input === "object" && input !== null ? (input as { command?: unknown }) : {};
  const isCommand = name === "Bash" && typeof fields.command === "string";
  const text = isCommand ? String(fields.command) : JSON.stringify(input, null, 2);
  return (
    <div>
      <p className={classes.label}>Input</p>
      <ClippedText text={text ?? ""} name={`${name}-input`} canCopy />
    </div>
  );
}
