import { describe, expect, it } from "vitest";
import { event } from "@/test/events";
import { RECENT_EVENTS_MAX, RecentEvents } from "./recent";

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => event(from + index, "Something"));

describe("recent events", () => {
  it("knows what happened after a position", () => {
    const recent = new RecentEvents(10);
    recent.push(range(11, 20));
    expect(recent.since(17)?.map(({ position }) => position)).toEqual([18, 19, 20]);
    expect(recent.since(20)).toEqual([]);
    expect(recent.since(99)).toEqual([]);
  });

  it("takes an event that is heard twice once", () => {
    const recent = new RecentEvents(0);
    recent.push(range(1, 5));
    expect(recent.push(range(3, 5))).toBe(false);
    expect(recent.push(range(4, 6))).toBe(true);
    expect(recent.since(0)).toHaveLength(6);
  });

  it("says that it does not know what was before its beginning", () => {
    const recent = new RecentEvents(10);
    expect(recent.since(9)).toBeNull();
  });

  it("forgets the oldest events and knows from where on it is complete", () => {
    const recent = new RecentEvents(0);
    recent.push(range(1, RECENT_EVENTS_MAX + 10));
    expect(recent.floor).toBe(10);
    expect(recent.since(9)).toBeNull();
    expect(recent.since(10)).toHaveLength(RECENT_EVENTS_MAX);
  });

  it("keeps gaps in the positions apart from gaps in its knowledge", () => {
    const recent = new RecentEvents(10);
    recent.push([event(12, "Something"), event(19, "Something")]);
    recent.advance(25);
    expect(recent.position).toBe(25);
    expect(recent.since(15)?.map(({ position }) => position)).toEqual([19]);
  });

  it("goes on from what another tab knows, without losing what it knows itself", () => {
    const follower = new RecentEvents(10);
    follower.push(range(11, 15));
    follower.adopt(15, 22, range(16, 20));
    expect(follower.position).toBe(22);
    expect(follower.since(10)).toHaveLength(10);
  });

  it("claims no more than another tab could tell", () => {
    const late = new RecentEvents(5);
    late.adopt(10, 22, range(11, 20));
    expect(late.since(5)).toBeNull();
    expect(late.since(10)).toHaveLength(10);
  });
});
