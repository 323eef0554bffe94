import { describe, expect, it } from "vitest";
import { ansiSegments, safeHref } from "./ansi";

const ESC = "\u001b";
const text = (input: string) =>
  ansiSegments(input)
    .map((segment) => segment.text)
    .join("");

describe("what was meant for a terminal", () => {
  it("has colours of ours, however they were asked for", () => {
    const hues = (input: string) => ansiSegments(input).map(({ style }) => style.fg);
    expect(hues(`${ESC}[31mred${ESC}[0m plain`)).toEqual(["red", undefined]);
    expect(hues(`${ESC}[92mgreen`)).toEqual(["green"]);
    expect(hues(`${ESC}[38;5;196mred`)).toEqual(["red"]);
    expect(hues(`${ESC}[38;2;10;20;250mblue`)).toEqual(["blue"]);
    expect(hues(`${ESC}[38:2:250:240:10myellow`)).toEqual(["yellow"]);
  });

  it("has weight and slant, until they are taken back", () => {
    const [bold, both, rest] = ansiSegments(`${ESC}[1ma${ESC}[3mb${ESC}[22;23mc`);
    expect(bold?.style).toMatchObject({ bold: true });
    expect(both?.style).toMatchObject({ bold: true, italic: true });
    expect(rest?.style.bold ?? rest?.style.italic).toBeUndefined();
  });

  it("writes over what stands in a line after a carriage return", () => {
    expect(text("10 %\r20 %\r100 %\n")).toBe("100 %\n");
    expect(text("downloading\rdone")).toBe("doneloading");
    expect(text(`downloading\r${ESC}[Kdone`)).toBe("done");
    expect(text("one\r\ntwo\r\n")).toBe("one\ntwo\n");
    expect(text("ab\bc")).toBe("ac");
  });

  it("links to the web alone", () => {
    const link = (target: string) => ansiSegments(`${ESC}]8;;${target}\u0007here${ESC}]8;;\u0007.`);
    expect(link("https://example.org/a;b")[0]?.style.href).toBe("https://example.org/a;b");
    expect(link("https://example.org/")[1]?.style.href).toBeUndefined();
    expect(link("javascript:alert(1)")[0]?.style.href).toBeUndefined();
    expect(link("file:///etc/passwd")[0]?.style.href).toBeUndefined();
    expect(safeHref("data:text/html,x")).toBeUndefined();
    expect(safeHref("http://")).toBeUndefined();
  });

  it("cannot move, hide, rename or ask", () => {
    expect(text(`a${ESC}[2J${ESC}[10;10Hb`)).toBe("ab");
    expect(text(`a${ESC}]0;title\u0007b`)).toBe("ab");
    expect(text(`a${ESC}[8mhidden${ESC}[6n`)).toBe("ahidden");
    expect(text(`a${ESC}Pq#0;2;0;0;0${ESC}\\b`)).toBe("ab");
  });

  it("is taken as it is where there is nothing special", () => {
    expect(ansiSegments("plain <b>text</b>")).toEqual([{ text: "plain <b>text</b>", style: {} }]);
    expect(ansiSegments("")).toEqual([]);
  });
});
