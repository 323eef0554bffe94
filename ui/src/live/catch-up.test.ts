import { describe, expect, it } from "vitest";
import type { Loaded } from "@/api/client";
import { event } from "@/test/events";
import { type Apply, catchUp, isOutdated } from "./catch-up";
import { RecentEvents } from "./recent";

/** Collects the positions of the events called `Counted`. */
const collect: Apply<number[]> = (value, events) => {
  const counted = events.filter(({ type }) => type === "Counted");
  return counted.length === 0 ? value : [...value, ...counted.map(({ position }) => position)];
};

const loaded = (position: number): Loaded<number[]> => ({ value: [], position, next: null });

function heard(...positions: number[]) {
  const recent = new RecentEvents(0);
  recent.push(positions.map((position) => event(position, "Counted")));
  return recent;
}

describe("catching up", () => {
  it("applies only what happened after the answer", () => {
    const next = catchUp(loaded(5), heard(3, 5, 6, 8), collect);
    expect(next).toMatchObject({ value: [6, 8], position: 8 });
  });

  it("applies every event once, however often it is done", () => {
    const recent = heard(1, 2);
    const once = catchUp(loaded(0), recent, collect) as Loaded<number[]>;
    expect(catchUp(once, recent, collect)).toBe(once);
    recent.push([event(3, "Counted")]);
    expect(catchUp(once, recent, collect)).toMatchObject({ value: [1, 2, 3] });
  });

  it("leaves what is not concerned the same object", () => {
    const recent = new RecentEvents(0);
    recent.push([event(1, "Other")]);
    const answer = loaded(0);
    expect(catchUp(answer, recent, collect)).toBe(answer);
  });

  it("takes each page of a list from its own position on", () => {
    const list = { pages: [loaded(2), loaded(6)], pageParams: [null, null] };
    const next = catchUp(list, heard(4, 8), collect);
    expect(next).toMatchObject({ pages: [{ value: [4, 8] }, { value: [8] }] });
  });

  it("tells that events in between are not known", () => {
    const recent = new RecentEvents(10);
    expect(catchUp(loaded(9), recent, collect)).toBe("gap");
  });

  it("knows when a count that only the server can make is outdated", () => {
    const isCounted = ({ type }: { type: string }) => type === "Counted";
    const recent = new RecentEvents(0);
    recent.push([event(1, "Other")]);
    const answer = loaded(0);
    expect(isOutdated(answer, recent, isCounted)).toBe(false);
    recent.push([event(2, "Counted")]);
    expect(isOutdated(answer, recent, isCounted)).toBe(true);
    expect(isOutdated(loaded(2), recent, isCounted)).toBe(false);
  });
});
