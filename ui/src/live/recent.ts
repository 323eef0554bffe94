import type { LogEvent } from "./event";

/** How many events a tab remembers; a page that is further behind is loaded again. */
export const RECENT_EVENTS_MAX = 4_096;

/** The newest events of the log, complete after `floor` and up to `position`. */
export class RecentEvents {
  #events: LogEvent[] = [];
  #floor: number;
  #position: number;

  constructor(position: number) {
    this.#floor = position;
    this.#position = position;
  }

  /** Everything after this position is known. */
  get floor(): number {
    return this.#floor;
  }

  /** Everything up to this position has been heard of. */
  get position(): number {
    return this.#position;
  }

  /** Takes events in; what was known already is left out. Gives back whether anything was new. */
  push(events: readonly LogEvent[]): boolean {
    const fresh = events.filter((event) => event.position > this.#position);
    const last = fresh.at(-1);
    if (!last) return false;
    this.#events.push(...fresh);
    this.#position = last.position;
    const excess = this.#events.length - RECENT_EVENTS_MAX;
    if (excess > 0) {
      this.#floor = this.#events[excess - 1]?.position ?? this.#floor;
      this.#events.splice(0, excess);
    }
    return true;
  }

  /** Learns that nothing more happened up to `position` that this browser may see. */
  advance(position: number): void {
    this.#position = Math.max(this.#position, position);
  }

  /** The events after `position` in order; null when some of them are not known any more. */
  since(position: number): readonly LogEvent[] | null {
    if (position < this.#floor) return null;
    if (position >= this.#position) return [];
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle]?.position ?? 0) > position) high = middle;
      else low = middle + 1;
    }
    return this.#events.slice(low);
  }

  /** Forgets everything and goes on after `position`. */
  restart(position: number): void {
    this.#events = [];
    this.#floor = position;
    this.#position = position;
  }

  /** Takes over what another tab knows: the events after `from`, up to `position`. */
  adopt(from: number, position: number, events: readonly LogEvent[]): void {
    if (from > this.#position) this.restart(from);
    this.push(events);
    this.advance(position);
  }
}
