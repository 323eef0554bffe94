import { describe, expect, it } from "vitest";
import { event, outcome, request } from "@/test/events";
import { type Execution, requested } from "./fold";
import { applyToPage, FRESH_ROWS_MAX, merged, newRows, pageOf } from "./list-page";
import type { ExecutionSearch } from "./search";

const NOW_MS = Date.UTC(2026, 10, 21, 10);
const any = {} as ExecutionSearch;
const row = (id: string, rest: Partial<Execution> = {}) => ({
  ...requested(request(1, id)),
  ...rest,
});
const started = (position: number, id: string) =>
  event(position, "ExecutionStarted", {
    stream_id: id,
    data: {
      slot: 1,
      epoch: 1,
      claude_session_id: "s",
      started_at: "2026-11-21T09:00:00.000Z",
    },
  });
const completed = (position: number, id: string) =>
  event(position, "ExecutionCompleted", { stream_id: id, data: { outcome: outcome() } });

describe("a page of executions", () => {
  it("changes its rows in place from the request to the end", () => {
    const page = pageOf([row("one"), row("two")]);
    const running = applyToPage(any, page, [started(2, "one")], 0);
    expect(running.rows[0]).toMatchObject({ status: "running", slot: 1 });
    expect(running.rows[1]).toBe(page.rows[1]);
    const done = applyToPage(any, running, [completed(3, "one")], 0);
    expect(done.rows[0]).toMatchObject({ status: "completed", cost: 0.021, duration_ms: 4_200 });
  });

  it("shows how far a stop has got, and who asked first", () => {
    const stop = (position: number, type: string, by = "user:ana") =>
      event(position, type, { stream_id: "one", data: { by, reason: "requested" } });
    const page = pageOf([row("one", { status: "running" })]);
    const events = [
      stop(2, "CancelRequested"),
      stop(3, "CancelRequested", "user:bo"),
      stop(4, "InterruptSent"),
    ];
    expect(applyToPage(any, page, events, 0).rows[0]).toMatchObject({
      cancelled_by: "user:ana",
      cancel_phase: "interrupting",
    });
  });

  it("says while nothing is heard of a run", () => {
    const heard = (position: number, type: string, data: Record<string, unknown>) =>
      applyToPage(any, page, [event(position, type, { stream_id: "one", data })], 0).rows[0];
    const page = pageOf([row("one", { status: "running" })]);
    const lost = heard(2, "ContactLost", { since: "2026-11-21T09:00:10.000Z" });
    expect(lost?.lost_contact_at).toBe("2026-11-21T09:00:10.000Z");
    expect(heard(3, "ContactRegained", { at: "2026-11-21T09:00:20Z" })?.lost_contact_at).toBeNull();
  });

  it("stays the same object when nothing concerns it", () => {
    const page = pageOf([row("one")]);
    expect(applyToPage(any, page, [event(2, "AgentStarted", { stream_type: "agent" })], 0)).toBe(
      page,
    );
    expect(applyToPage(any, page, [started(2, "another")], 0)).toBe(page);
  });

  it("keeps new executions apart until they are shown, and follows them meanwhile", () => {
    const page = applyToPage(
      any,
      pageOf([row("one")]),
      [request(2, "two"), request(3, "three")],
      0,
    );
    expect(page.rows).toHaveLength(1);
    const later = applyToPage(any, page, [started(4, "two")], 0);
    expect(newRows(any, later, NOW_MS).map(({ id }) => id)).toEqual(["three", "two"]);
    const shown = merged(any, later, NOW_MS);
    expect(shown.rows.map(({ id, status }) => `${id} ${status}`)).toEqual([
      "three pending",
      "two running",
      "one pending",
    ]);
    expect(shown.fresh).toEqual([]);
  });

  it("adds new executions to the first page alone", () => {
    const page = pageOf([row("one")]);
    expect(applyToPage(any, page, [request(2, "two")], 1)).toBe(page);
  });

  it("counts as new only what fits the filter, also when it comes to fit later", () => {
    const doneOnly = { status: "completed" } as ExecutionSearch;
    const page = applyToPage(doneOnly, pageOf([]), [request(2, "two")], 0);
    expect(newRows(doneOnly, page, NOW_MS)).toEqual([]);
    const later = applyToPage(doneOnly, page, [started(3, "two"), completed(4, "two")], 0);
    expect(newRows(doneOnly, later, NOW_MS).map(({ id }) => id)).toEqual(["two"]);
  });

  it("knows that one it never read may have come to fit the filter", () => {
    const running = { status: "running" } as ExecutionSearch;
    expect(applyToPage(running, pageOf([]), [started(2, "old")], 0).isStale).toBe(true);
    expect(applyToPage(running, pageOf([]), [completed(2, "old")], 0).isStale).toBe(false);
    expect(applyToPage(any, pageOf([]), [started(2, "old")], 0).isStale).toBe(false);
  });

  it("moves up who waits behind one that got a slot", () => {
    const waiting = [
      row("third", { queue_position: 3 }),
      row("second", { queue_position: 2 }),
      row("first", { queue_position: 1 }),
      row("elsewhere", { queue_position: 2, incarnation: "other" }),
    ];
    const acquired = event(2, "SlotAcquired", {
      stream_type: "slots",
      stream_id: "life",
      data: { execution_id: "first", slot: 1, epoch: 1, timeout_seconds: 900 },
    });
    const { rows } = applyToPage(any, pageOf(waiting), [acquired], 0);
    expect(rows.map(({ queue_position }) => queue_position)).toEqual([2, 1, null, 2]);
  });

  it("holds a bounded number of new executions and says when there are more", () => {
    const events = Array.from({ length: FRESH_ROWS_MAX + 1 }, (_, index) =>
      request(index + 2, `new-${index}`),
    );
    const page = applyToPage(any, pageOf([]), events, 0);
    expect(page.fresh).toHaveLength(FRESH_ROWS_MAX);
    expect(page.isStale).toBe(true);
  });
});
