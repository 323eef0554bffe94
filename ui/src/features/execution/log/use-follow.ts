import { type RefObject, useEffect, useLayoutEffect, useReducer, useRef } from "react";
import { FOLLOWING, followed } from "./follow";

/** How close to its end a log counts as being there, in pixels. */
const END_PX = 24;

/** How long after a movement of the wheel, a finger or a key the view moves because of it. */
const GESTURE_MS = 400;

const KEYS = new Set(["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", " "]);

/**
 * Keeps a scrolled element at its end until a reader moves up.
 *
 * `total` is how many lines there are, `height` how high they are together: whenever either changes
 * while following, the end is brought back into view, at once and without an animation.
 */
export function useFollow(
  scroller: RefObject<HTMLElement | null>,
  { total, height, isStarting }: { total: number; height: number; isStarting: boolean },
) {
  const [follow, change] = useReducer(followed, FOLLOWING);
  const gestureAt = useRef(Number.NEGATIVE_INFINITY);
  const isHeld = useRef(false);
  const lastTop = useRef(0);
  const totalNow = useRef(total);
  totalNow.current = total;

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const stop = new AbortController();
    const options = { passive: true, signal: stop.signal } as const;
    const moved = () => {
      gestureAt.current = performance.now();
    };
    const onKey = ({ key }: KeyboardEvent) => KEYS.has(key) && moved();
    element.addEventListener("wheel", moved, options);
    element.addEventListener("touchmove", moved, options);
    element.addEventListener("keydown", onKey, options);
    // The scroll bar is part of the element, and is dragged for as long as the button is down.
    element.addEventListener("pointerdown", () => (isHeld.current = true), options);
    addEventListener("pointerup", () => (isHeld.current = false), options);
    element.addEventListener(
      "scroll",
      () => {
        const { scrollTop, scrollHeight, clientHeight } = element;
        const isRecent = performance.now() - gestureAt.current < GESTURE_MS;
        change({
          type: "scrolled",
          byReader: isHeld.current || isRecent,
          direction:
            scrollTop < lastTop.current ? "up" : scrollTop > lastTop.current ? "down" : "none",
          isAtEnd: scrollHeight - clientHeight - scrollTop <= END_PX,
          total: totalNow.current,
        });
        lastTop.current = scrollTop;
      },
      options,
    );
    return () => stop.abort();
  }, [scroller]);

  const { isFollowing } = follow;
  // biome-ignore lint/correctness/useExhaustiveDependencies: whatever makes the log longer
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!isFollowing || !element || isStarting) return;
    element.scrollTop = element.scrollHeight;
  }, [isFollowing, total, height, isStarting, scroller]);
  useEffect(() => {
    const element = scroller.current;
    if (!isFollowing || !element) return;
    const observer = new ResizeObserver(() => {
      element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [isFollowing, scroller]);

  return {
    follow,
    toEnd: () => change({ type: "jumped-to-end" }),
    toLine: () => change({ type: "jumped-to-line", total: totalNow.current }),
  };
}
