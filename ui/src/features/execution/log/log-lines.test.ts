import { describe, expect, it } from "vitest";
import { entry, toolCall, toolResult } from "@/test/entries";
import { LINES_KEPT_MAX, LogLines, SHAPE } from "./log-lines";

const lines = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => entry(first + index));

describe("the lines of a log", () => {
  it("are there once, however often they come", () => {
    const log = new LogLines();
    expect(log.insert(lines(1, 3)).length).toBe(3);
    expect(log.insert(lines(2, 5)).map(({ seq }) => seq)).toEqual([4, 5]);
    expect(log.total).toBe(5);
    expect(log.size).toBe(5);
  });

  it("know what is missing of a view, page by page", () => {
    const log = new LogLines();
    log.grow(100_000);
    log.insert(lines(99_001, 100_000));
    expect(log.missing(99_500, 99_900)).toBeNull();
    expect(log.missing(98_980, 99_020)).toEqual({ after: 98_000, limit: 1_000 });
    expect(log.missing(1, 20)).toEqual({ after: 0, limit: 1_000 });
  });

  it("go on after a page that was cut for its size", () => {
    const log = new LogLines();
    log.grow(5_000);
    log.insert(lines(1_001, 1_003));
    expect(log.missing(1_001, 1_050)).toEqual({ after: 1_003, limit: 997 });
  });

  it("never ask for what is not there yet", () => {
    const log = new LogLines();
    log.grow(10);
    expect(log.missing(1, 50)).toEqual({ after: 0, limit: 10 });
    log.insert(lines(1, 10));
    expect(log.missing(1, 50)).toBeNull();
  });

  it("fold an answer into its call, wherever that is, and unfold it when the call is gone", () => {
    const log = new LogLines();
    const answer = entry(9, { kind: "user", blocks: [toolResult("t1", "ok")] });
    log.insert([answer]);
    expect(log.isFolded(answer)).toBe(false);
    log.insert([entry(8, { kind: "assistant", blocks: [toolCall("t1", "Bash")] })]);
    expect(log.isFolded(answer)).toBe(true);
    expect([7, 8].map((seq) => log.shape(seq))).toEqual([SHAPE.unknown, SHAPE.call]);
    expect(log.answer("t1")).toMatchObject({ seq: 9, content: "ok" });
    const dropped = { lines: 3, bytes: 40 };
    expect(log.isFolded({ ...answer, dropped }), "it says what is missing before it").toBe(false);
  });

  it("let go of what is far away", () => {
    const log = new LogLines();
    log.insert(lines(1, LINES_KEPT_MAX + 1));
    log.forgetFarFrom(LINES_KEPT_MAX);
    expect(log.size).toBe(LINES_KEPT_MAX / 2 + 2);
    expect(log.get(1)).toBeUndefined();
    expect(log.get(LINES_KEPT_MAX)).toBeDefined();
    expect(log.total).toBe(LINES_KEPT_MAX + 1);
  });
});
