import { Button } from "@mantine/core";
import { useState } from "react";
import { CopyButton } from "@/components/copy-button";
import { saveText } from "@/lib/download";
import { formatBytes } from "@/lib/format";
import { AnsiText } from "./ansi-text";
import { clip, SHOWN_CHARS_MAX } from "./clip";
import classes from "./log.module.css";

interface ClippedTextProps {
  text: string;
  /** What the file is called that has all of it, without its ending. */
  name: string;
  /** Whether it can be copied by a button of its own. */
  canCopy?: boolean;
}

/** A text of any length: its beginning, more when asked for, and all of it as a file. */
export function ClippedText({ text, name, canCopy }: ClippedTextProps) {
  const [isWhole, setWhole] = useState(false);
  const { text: shown, isCut } = isWhole
    ? clip(text, SHOWN_CHARS_MAX, Number.POSITIVE_INFINITY)
    : clip(text);
  const isTooLong = text.length > SHOWN_CHARS_MAX;
  return (
    <div className={classes.clipped}>
      <div className={classes.text}>
        <AnsiText text={shown} />
        {isCut && "…"}
      </div>
      {(isCut || isWhole || canCopy) && (
        <div className={classes.more}>
          {isCut && <span>{formatBytes(text.length)} in all</span>}
          {!isWhole && isCut && (
            <Button size="compact-xs" variant="default" onClick={() => setWhole(true)}>
              {isTooLong ? `Show ${formatBytes(SHOWN_CHARS_MAX)}` : "Show all"}
            </Button>
          )}
          {isWhole && (
            <Button size="compact-xs" variant="default" onClick={() => setWhole(false)}>
              Show less
            </Button>
          )}
          {isCut && (
            <Button
              size="compact-xs"
              variant="default"
              onClick={() => saveText([text], `${name}.txt`)}
            >
              Download
            </Button>
          )}
          {canCopy && <CopyButton text={text} label="Copy all of it" />}
        </div>
      )}
    </div>
  );
}
