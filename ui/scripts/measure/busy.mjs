// @ts-check
import { longestTask, scrollThrough, TASK_MS_MAX } from "../../e2e/support/long-tasks.mjs";

/**
 * How long the page was busy at a time while somebody scrolled through a list of any length.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} what
 * @param {import("playwright-core").Locator} scroller
 * @param {number} stepPx
 */
export async function measureScroll(page, what, scroller, stepPx) {
  const { processorMs, onClockMs } = await longestTask(page, () =>
    scrollThrough(page, scroller, stepPx),
  );
  const clock = onClockMs.length === 0 ? "none over 50 ms" : `at most ${Math.max(...onClockMs)} ms`;
  return {
    what: `${what}, longest task while scrolling`,
    goal: `${TASK_MS_MAX} ms`,
    result: `${processorMs.toFixed(1)} ms of processor time; ${clock} by the clock`,
    isMet: processorMs < TASK_MS_MAX,
  };
}
