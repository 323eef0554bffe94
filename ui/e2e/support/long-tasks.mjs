// @ts-check
import assert from "node:assert/strict";

/** How long the page may be busy at a time, in milliseconds. */
export const TASK_MS_MAX = 50;

/**
 * How long the page was busy at a time while `act` went on, in milliseconds.
 *
 * The browser says how long a task took on the clock, and how much of that it was given a processor
 * for: other programs of this machine are no fault of the page.
 */
export async function longestTask(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {() => Promise<void>} */ act,
) {
  await page.evaluate(() => {
    const seen = /** @type {number[]} */ ([]);
    Reflect.set(globalThis, "longTasks", seen);
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) seen.push(Math.round(duration));
    }).observe({ type: "longtask" });
  });
  const browser = page.context().browser();
  assert.ok(browser);
  await browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-toplevel"] });
  await act();
  const trace = JSON.parse(String(await browser.stopTracing()));
  const onClockMs = /** @type {number[]} */ (
    await page.evaluate(() => Reflect.get(globalThis, "longTasks"))
  );
  const tasks = /** @type {{ name: string, dur?: number, tdur?: number }[]} */ (trace.traceEvents)
    .filter((event) => event.name.endsWith("RunTask") && event.tdur !== undefined)
    .map((event) => (event.tdur ?? 0) / 1_000);
  assert.ok(tasks.length > 0, "the browser told nothing of its tasks");
  return { processorMs: Math.max(...tasks), onClockMs };
}

/** Scrolls an element up or down by the wheel, a frame at a time, to its middle, and back. */
export async function scrollThrough(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {import("playwright-core").Locator} */ scroller,
  /** @type {number} */ stepPx,
) {
  await scroller.hover();
  const wheel = async (/** @type {number} */ by) => {
    for (let step = 0; step < 40; step += 1) {
      await page.mouse.wheel(0, by);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
    }
  };
  await wheel(stepPx);
  await scroller.evaluate((element) => element.scrollTo(0, element.scrollHeight / 2));
  await wheel(-stepPx);
}
