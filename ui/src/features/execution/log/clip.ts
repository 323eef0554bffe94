/** How much of a text is shown before it is asked for. */
export const CLIP_CHARS = 4_000;

/** How many lines of a text are shown before they are asked for. */
export const CLIP_LINES = 60;

/** How much of a text is ever shown in the page; there is the download for more. */
export const SHOWN_CHARS_MAX = 200_000;

/** The beginning of a text, and how much there is of it. */
export interface Clip {
  readonly text: string;
  readonly isCut: boolean;
}

/** The beginning of a text, at most so many characters and lines; no character is cut in two. */
export function clip(text: string, charsMax = CLIP_CHARS, linesMax = CLIP_LINES): Clip {
  let end = Math.min(text.length, charsMax);
  let at = -1;
  for (let line = 0; line < linesMax; line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at === -1 || at >= end) break;
  }
  if (at !== -1 && at < end) end = at;
  const code = text.charCodeAt(end - 1);
  if (end < text.length && code >= 0xd800 && code <= 0xdbff) end -= 1;
  // A line feed at the end is no more text.
  const isCut = end < text.length && !(end === text.length - 1 && text.endsWith("\n"));
  return { text: text.slice(0, end), isCut };
}
