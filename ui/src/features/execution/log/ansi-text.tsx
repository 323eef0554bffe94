import { memo } from "react";
import { plainText } from "@/lib/plain-text";
import { type AnsiSegment, ansiSegments } from "./ansi";
import classes from "./log.module.css";

/** What an agent printed, with its colours and links; never more than text. */
export const AnsiText = memo(function AnsiText({ text }: { text: string }) {
  const segments = ansiSegments(text);
  return (
    <bdi>
      {segments.map((segment, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of a text do not move
        <Segment key={index} segment={segment} />
      ))}
    </bdi>
  );
});

function Segment({ segment }: { segment: AnsiSegment }) {
  const { href, fg, bg, ...flags } = segment.style;
  const text = plainText(segment.text);
  const named = Object.entries(flags).flatMap(([name, isSet]) => (isSet ? [name] : []));
  const look = { "data-fg": fg, "data-bg": bg, "data-style": named.join(" ") || undefined };
  if (href) {
    return (
      <a className={classes.ansi} {...look} href={href} rel="noopener noreferrer" target="_blank">
        {text}
      </a>
    );
  }
  if (!fg && !bg && named.length === 0) return text;
  return (
    <span className={classes.ansi} {...look}>
      {text}
    </span>
  );
}
