import { describe, expect, it } from "vitest";
import { event } from "@/test/events";
import { applyToEvents, type EventPages, type EventsPage, trimmed } from "./pages";

const ANY = { stream: undefined, type: undefined, actor: undefined };

const stretch = (from: number, to: number, isHead = false): EventsPage => ({
  items: Array.from({ length: to - from + 1 }, (_, index) => event(from + index, "Counted")),
  after: from - 1,
  until: to,
  isHead,
});

describe("a stretch of the log", () => {
  it("grows at the end of the log by what fits the filter", () => {
    const page = stretch(1, 2, true);
    const events = [event(3, "Counted"), event(4, "Other", { stream_id: "two" })];
    const next = applyToEvents({ ...ANY, stream: "execution:one" }, page, events);
    expect(next.items.map(({ position }) => position)).toEqual([1, 2, 3]);
    expect(applyToEvents({ ...ANY, type: "Nothing,Other" }, page, events).items).toHaveLength(3);
    expect(applyToEvents({ ...ANY, actor: "user:x" }, page, events)).toBe(page);
  });

  it("stays as it is anywhere else", () => {
    const page = stretch(1, 2);
    expect(applyToEvents(ANY, page, [event(3, "Counted")])).toBe(page);
  });
});

describe("a log that has grown long", () => {
  const pages: EventPages = {
    pages: [stretch(1, 4), stretch(5, 8), stretch(9, 12, true)].map((value) => ({
      value,
      position: 12,
      next: null,
    })),
    pageParams: ["before", "after", "end"],
  };

  it("lets go of its oldest events, and knows where they are to be read again", () => {
    const kept = trimmed(pages, 6);
    expect(kept.pageParams).toEqual(["after", "end"]);
    expect(kept.pages[0]?.value).toMatchObject({ after: 6, until: 8 });
    expect(kept.pages.flatMap(({ value }) => value.items)).toHaveLength(6);
  });

  it("stays the same object while it is short enough", () => {
    expect(trimmed(pages, 12)).toBe(pages);
  });
});
