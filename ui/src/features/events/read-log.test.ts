import { describe, expect, it } from "vitest";
import type { LogEvent } from "@/live/event";
import { event } from "@/test/events";
import { PAGE_EVENTS, type ReadLog, readAfter, readBefore } from "./read-log";

const ANY = { stream: undefined, type: undefined, actor: undefined };
const FAILED = { ...ANY, type: "ExecutionFailed" };

/** A log with events at some positions, as the server reads it: forwards, up to `limit`. */
function logOf(events: readonly LogEvent[], end: number) {
  const asked: [number, number][] = [];
  const read: ReadLog = async (after, limit) => {
    asked.push([after, limit]);
    const items = events.filter(({ position }) => position > after).slice(0, limit);
    const last = items.at(-1)?.position ?? Math.max(after, end);
    const is_end = items.length < limit;
    return { items, position: is_end ? Math.max(after, end) : last, is_end };
  };
  return { read, asked };
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => event(from + index, "Counted"));

/** A tab that has heard of everything up to a position, and knows what came after `floor`. */
const heard = (position: number, floor = position) => ({ floor, position });

describe("reading the log backwards", () => {
  it("reads the page before a position with one request where every position counts", async () => {
    const { read, asked } = logOf(range(1, 1_000), 1_000);
    const page = await readBefore(read, ANY, 700);
    expect(asked).toEqual([[500, 200]]);
    expect(page).toMatchObject({ after: 500, until: 700, isHead: false });
    expect(page.items.map(({ position }) => position)).toEqual(
      range(501, 700).map(({ position }) => position),
    );
  });

  it("looks further back where few events fit, and keeps their order", async () => {
    const { read } = logOf([event(10, "A"), event(4_000, "B"), event(9_990, "C")], 10_000);
    const page = await readBefore(read, FAILED, 10_000);
    expect(page.items.map(({ type }) => type)).toEqual(["A", "B", "C"]);
    expect(page.after).toBe(0);
  });

  it("leaves out what is after the stretch, though the server reads on", async () => {
    const { read } = logOf([event(50, "A"), event(900, "B")], 1_000);
    const page = await readBefore(read, FAILED, 100);
    expect(page.items.map(({ type }) => type)).toEqual(["A"]);
  });

  it("stops looking after a while, and says how far it has looked", async () => {
    const { read, asked } = logOf([], 1_000_000);
    const page = await readBefore(read, FAILED, 1_000_000);
    expect(page.items).toEqual([]);
    expect(page.after).toBeGreaterThan(0);
    expect(asked.length).toBeLessThan(10);
  });

  it("reads a dense stretch to its end, in as many answers as it takes", async () => {
    const { read, asked } = logOf(range(1, 2_500), 2_500);
    const page = await readBefore(read, FAILED, 2_500);
    expect(page.items).toHaveLength(2_500);
    expect(asked.map(([after]) => after)).toEqual([0, 1_000, 2_000]);
  });
});

describe("reading the log forwards", () => {
  it("is at the end of the log where the live stream tells the rest", async () => {
    const { read } = logOf(range(1, 300), 300);
    expect(await readAfter(read, 0, heard(300))).toMatchObject({
      until: PAGE_EVENTS,
      isHead: false,
    });
    expect(await readAfter(read, 200, heard(300))).toMatchObject({ until: 300, isHead: true });
  });

  it("reads on where the server has looked for long and found nothing", async () => {
    const read: ReadLog = async (after) =>
      after < 60_000
        ? { items: [], position: after + 20_000, is_end: false }
        : { items: [event(60_001, "A")], position: 60_001, is_end: true };
    const page = await readAfter(read, 0, heard(60_000));
    expect(page).toMatchObject({ after: 0, until: 60_001, isHead: true });
    expect(page.items).toHaveLength(1);
  });

  it("has looked as far as the tab has heard where the last event that fits is long ago", async () => {
    const read: ReadLog = async () => ({ items: range(7, 7), position: 7, is_end: true });
    expect(await readAfter(read, 5, heard(300, 100))).toMatchObject({ until: 300, isHead: true });
  });

  it("has looked no further than it has read where the live stream tells the rest", async () => {
    const { read } = logOf(range(1, 300), 300);
    const page = await readAfter(read, 0, heard(300, 100));
    expect(page).toMatchObject({ until: PAGE_EVENTS, isHead: true });
  });

  it("is at the end after a position that does not exist yet", async () => {
    const { read } = logOf(range(1, 3), 3);
    const page = await readAfter(read, 99, heard(3));
    expect(page).toEqual({ items: [], after: 99, until: 99, isHead: true });
  });
});
