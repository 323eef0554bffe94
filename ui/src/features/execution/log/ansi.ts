import { parse } from "@ansi-tools/parser";

/** The colours that text can have; each has a token that can be read on both surfaces. */
export const HUES = ["red", "green", "yellow", "blue", "magenta", "cyan", "gray"] as const;

/** One of the colours. */
export type Hue = (typeof HUES)[number];

/** How a piece of text looks. */
export interface AnsiStyle {
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly italic?: boolean;
  readonly underline?: boolean;
  readonly strike?: boolean;
  readonly fg?: Hue;
  readonly bg?: Hue;
  /** Where it leads: `http:` or `https:` alone. */
  readonly href?: string;
}

/** A piece of text of one look. */
export interface AnsiSegment {
  readonly text: string;
  readonly style: AnsiStyle;
}

const PLAIN: AnsiStyle = {};

/** Whether a text has anything that a terminal would not just write down. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const SPECIAL = /[\u001b\r\b\u0080-\u009f]/;

/**
 * Reads what was meant for a terminal: colours, links, and lines that were written over.
 *
 * Everything else that a terminal can be told is left out: nothing moves, hides, or asks.
 */
export function ansiSegments(text: string): readonly AnsiSegment[] {
  if (text === "") return [];
  if (!SPECIAL.test(text)) return [{ text, style: PLAIN }];
  const screen = new Screen();
  let style = PLAIN;
  for (const code of parse(text)) {
    if (code.type === "TEXT") screen.write(code.raw, style);
    else if (code.command === "m" && (code.type === "CSI" || code.type === "SGR")) {
      style = withSgr(style, numbers(code.raw));
    } else if (code.type === "CSI" && code.command === "K") screen.erase(code.params[0] ?? "0");
    else if (code.type === "OSC" && code.command === "8") style = withLink(style, code.params);
  }
  return screen.segments();
}

/** The lines as far as they were written; a carriage return writes over what is there. */
class Screen {
  readonly #done: AnsiSegment[] = [];
  #line: { char: string; style: AnsiStyle }[] = [];
  #column = 0;

  write(text: string, style: AnsiStyle): void {
    for (const char of text) {
      if (char === "\r") this.#column = 0;
      else if (char === "\b") this.#column = Math.max(0, this.#column - 1);
      else if (char === "\n") this.#feed();
      else {
        this.#line[this.#column] = { char, style };
        this.#column += 1;
      }
    }
  }

  erase(mode: string): void {
    if (mode === "2") {
      // What comes next stands where it would have stood.
      this.#line = this.#line.map(({ style }) => ({ char: " ", style }));
    } else if (mode !== "1") this.#line.length = Math.min(this.#line.length, this.#column);
  }

  segments(): readonly AnsiSegment[] {
    this.#flush("");
    return this.#done;
  }

  #feed(): void {
    this.#flush("\n");
    this.#line = [];
    this.#column = 0;
  }

  #flush(end: string): void {
    let text = "";
    let style: AnsiStyle = this.#line[0]?.style ?? PLAIN;
    for (const cell of this.#line) {
      if (cell && cell.style !== style) {
        this.#push(text, style);
        text = "";
        style = cell.style;
      }
      text += cell?.char ?? " ";
    }
    this.#push(text + end, style);
  }

  #push(text: string, style: AnsiStyle): void {
    const last = this.#done.at(-1);
    if (last && last.style === style) {
      this.#done[this.#done.length - 1] = { text: last.text + text, style };
    } else if (text !== "") this.#done.push({ text, style });
  }
}

/** The numbers of a sequence such as `ESC[1;38:2::250:20:10m`, the colour space left out. */
function numbers(raw: string): number[] {
  const params = /([\d:;]*)m$/.exec(raw)?.[1] ?? "";
  return params.split(";").flatMap((param) => {
    const parts = param.split(":");
    const colour = parts.length === 6 ? [...parts.slice(0, 2), ...parts.slice(3)] : parts;
    return colour.map((part) => Number(part) || 0);
  });
}

/** A style after `SGR` parameters; a text cannot be made invisible. */
function withSgr(before: AnsiStyle, params: readonly number[]): AnsiStyle {
  let style: AnsiStyle = before;
  for (let at = 0; at < params.length; at += 1) {
    const code = params[at] ?? 0;
    if (code === 38 || code === 48) {
      const { hue, length } = extendedHue(params.slice(at + 1));
      style = code === 38 ? { ...style, fg: hue } : { ...style, bg: hue };
      at += length;
    } else style = withCode(style, code);
  }
  return style;
}

const BASIC: readonly (Hue | undefined)[] = [
  "gray",
  "red",
  "green",
  "yellow",
  "blue",
  "magenta",
  "cyan",
  undefined,
];

function withCode(style: AnsiStyle, code: number): AnsiStyle {
  if (code >= 30 && code <= 37) return { ...style, fg: BASIC[code - 30] };
  if (code >= 90 && code <= 97) return { ...style, fg: BASIC[code - 90] };
  if (code >= 40 && code <= 47) return { ...style, bg: BASIC[code - 40] };
  if (code >= 100 && code <= 107) return { ...style, bg: BASIC[code - 100] };
  switch (code) {
    case 0:
      return style.href ? { href: style.href } : PLAIN;
    case 1:
      return { ...style, bold: true };
    case 2:
      return { ...style, dim: true };
    case 3:
      return { ...style, italic: true };
    case 4:
      return { ...style, underline: true };
    case 9:
      return { ...style, strike: true };
    case 22:
      return { ...style, bold: undefined, dim: undefined };
    case 23:
      return { ...style, italic: undefined };
    case 24:
      return { ...style, underline: undefined };
    case 29:
      return { ...style, strike: undefined };
    case 39:
      return { ...style, fg: undefined };
    case 49:
      return { ...style, bg: undefined };
    default:
      return style;
  }
}

/** The colour of `5;n` or `2;r;g;b`, and how many parameters say it. */
function extendedHue(params: readonly number[]): { hue: Hue | undefined; length: number } {
  if (params[0] === 5) return { hue: paletteHue(params[1] ?? 0), length: 2 };
  if (params[0] === 2) {
    return { hue: nearestHue(params[1] ?? 0, params[2] ?? 0, params[3] ?? 0), length: 4 };
  }
  return { hue: undefined, length: 0 };
}

function paletteHue(index: number): Hue | undefined {
  if (index < 16) return BASIC[index % 8];
  if (index >= 232) return index < 250 ? "gray" : undefined;
  const cube = index - 16;
  const level = (step: number) => step * 51;
  return nearestHue(
    level(Math.floor(cube / 36) % 6),
    level(Math.floor(cube / 6) % 6),
    level(cube % 6),
  );
}

/** The colour of ours that is nearest by hue: any lightness could be unreadable in one of the themes. */
function nearestHue(red: number, green: number, blue: number): Hue | undefined {
  const max = Math.max(red, green, blue);
  const spread = max - Math.min(red, green, blue);
  if (spread < 32) return max > 200 ? undefined : "gray";
  const sixth = (by: number, from: number) => (from + by / spread) % 6;
  const hue =
    max === red
      ? sixth(green - blue, 6)
      : max === green
        ? sixth(blue - red, 2)
        : sixth(red - green, 4);
  const hues = ["red", "yellow", "green", "cyan", "blue", "magenta"] as const;
  return hues[Math.round(hue) % 6];
}

function withLink(style: AnsiStyle, params: readonly string[]): AnsiStyle {
  // The address may itself have semicolons; what stands before the first one are its parameters.
  const target = params.slice(1).join(";");
  return { ...style, href: safeHref(target) };
}

/** An address that may be a link: of the web, and nothing that runs. */
export function safeHref(target: string): string | undefined {
  if (!/^https?:\/\//i.test(target) || !URL.canParse(target)) return undefined;
  return new URL(target).href;
}
