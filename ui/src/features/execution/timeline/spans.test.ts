import { describe, expect, it } from "vitest";
import { requested } from "@/features/executions/fold";
import { event, request } from "@/test/events";
import { LANES_MAX, lanesOf, spansOf } from "./spans";

const at = (second: number) => new Date(Date.UTC(2026, 10, 21, 9, 0, second)).toISOString();
const run = { ...requested(request(1, "one")), started_at: at(3), completed_at: at(20) };

const called = (position: number, id: string, second: number, name = "Bash") =>
  event(position, "ToolCallStarted", {
    data: { tool_call_id: id, name, input_preview: "ls", at: at(second) },
  });
const answered = (position: number, id: string, second: number, isError = false) =>
  event(position, "ToolCallFinished", {
    data: { tool_call_id: id, is_error: isError, at: at(second) },
  });

describe("a timeline", () => {
  it("has the wait, the run, its tool calls and the steps of its stop", () => {
    const spans = spansOf(run, [
      called(4, "a", 5),
      answered(5, "a", 7, true),
      called(6, "b", 8),
      event(10, "CancelRequested", { data: { by: "user:1" } }),
      event(11, "InterruptSent", { data: { at: at(11) } }),
    ]);
    const shown = spans.map(({ label, startMs, endMs }) => [
      label,
      new Date(startMs).getUTCSeconds(),
      endMs === null ? null : new Date(endMs).getUTCSeconds(),
    ]);
    expect(shown).toEqual([
      ["Queue", 1, 3],
      ["Run", 3, 20],
      ["Bash", 5, 7],
      ["Bash", 8, 20],
      ["Stop requested", 10, 11],
      ["SIGINT", 11, 20],
    ]);
    expect(spans[2]).toMatchObject({ isError: true, detail: "ls" });
  });

  it("leaves open what goes on", () => {
    const open = { ...run, completed_at: null };
    const spans = spansOf(open, [called(4, "a", 5)]);
    expect(spans.map(({ endMs }) => endMs === null)).toEqual([false, true, true]);
    const lanes = lanesOf(spans, Date.parse(at(21)));
    expect(lanes.map(({ name, bars }) => [name, bars[0]?.to])).toEqual([
      ["Queue", 0.1],
      ["Run", 1],
      ["Bash", 1],
    ]);
  });

  it("ends a lost contact where it was regained", () => {
    const spans = spansOf(run, [
      event(7, "ContactLost", { data: { since: at(6) } }),
      event(9, "ContactRegained", { data: { at: at(9) } }),
    ]);
    expect(spans.find(({ kind }) => kind === "lost")).toMatchObject({
      startMs: Date.parse(at(6)),
      endMs: Date.parse(at(9)),
    });
  });

  it("draws bars that cannot be told apart as one, and no more lanes than fit", () => {
    const dense = Array.from({ length: 1_000 }, (_, index) => [
      called(index * 2 + 4, `c${index}`, 5),
      answered(index * 2 + 5, `c${index}`, 5),
    ]).flat();
    const bash = lanesOf(spansOf(run, dense), Date.parse(at(20))).find(
      ({ name }) => name === "Bash",
    );
    expect(bash).toMatchObject({ count: 1_000 });
    expect(bash?.bars.length).toBe(1);
    const many = Array.from({ length: 40 }, (_, index) =>
      called(index + 4, `c${index}`, 5, `T${index}`),
    );
    expect(lanesOf(spansOf(run, many), Date.parse(at(20))).length).toBe(LANES_MAX);
  });
});
