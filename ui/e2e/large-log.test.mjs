// @ts-check
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Browser, picture } from "./support/browser.mjs";
import { setUp } from "./support/people.mjs";
import { Server } from "./support/server.mjs";

const TASK_MS_MAX = 50;

const LINES = `raw ${Array.from({ length: 100_000 }, (_, index) => `n${index + 1}`).join("\\n")}\\n`;
const CALLS = Array.from(
  { length: 10_000 },
  (_, index) => `tool Read {"file_path":"src/file-${index + 1}.rs"} => fn f() {}`,
).join("\n");

describe("a log of any size", { timeout: 240_000 }, () => {
  /** @type {Server} */
  let server;
  /** @type {Browser} */
  let browser;
  /** @type {import("playwright-core").Page} */
  let page;

  before(async () => {
    server = await Server.start();
    browser = await Browser.start();
    page = await (await browser.context()).newPage();
    await setUp(page, server);
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  const run = async (/** @type {string} */ script, rest = "") => {
    const id = await server.submit("scout", `#!demo\n${script}\nsay The end`);
    // Elsewhere first: what is measured is the reading of a log, not its writing.
    await page.goto(`${server.url}/executions/${id}?tab=io`);
    await page.locator("main header").getByText("Done").waitFor({ timeout: 60_000 });
    await page.goto(`${server.url}/executions/${id}${rest}`);
  };
  const log = () => page.getByRole("log");

  it("is scrolled through 100,000 lines, of which only some are read", async () => {
    await run(LINES, "?tab=raw");
    await log().getByText("n100000", { exact: true }).waitFor();
    await picture(page, "log-100000");
    await scrolls(page, "100,000 lines, raw log");
    await log().press("Home");
    await log().getByText("n1", { exact: true }).waitFor();
  });

  it("is searched by the server, and its lines have addresses", async () => {
    await page.getByRole("searchbox").fill("n4242");
    await page.getByText("11 lines", { exact: true }).waitFor({ timeout: 20_000 });
    await page.getByRole("button", { name: "Next match" }).click();
    await page.getByText("1 of 11").waitFor();
    await log().getByText("n4242", { exact: true }).waitFor();
    assert.match(page.url(), /#seq=\d+$/);
    await page.reload();
    await log().getByText("n4242", { exact: true }).waitFor();
    await picture(page, "log-search");
    await log().getByTitle("Line 4240").click();
    await page.waitForURL(/#seq=4240$/);
    await log().getByText("n4239", { exact: true }).waitFor();
    await page.keyboard.press("f");
    await log().getByText("n100000", { exact: true }).waitFor();
  });

  it("is scrolled through 10,000 tool calls", async () => {
    await run(CALLS);
    await log().getByText("src/file-10000.rs").waitFor();
    await scrolls(page, "10,000 tool calls, transcript");
  });

  it("shows the beginning of a line of 3 MB, and more of it when asked to", async () => {
    await run("big 3000000", "?tab=raw");
    await log().getByText("3.0 MB in all").first().waitFor();
    await log().getByRole("button", { name: "Show 200 kB" }).first().click();
    await log().getByRole("button", { name: "Show less" }).first().waitFor();
    const characters = await log().evaluate((element) => element.textContent?.length ?? 0);
    assert.ok(characters < 500_000, `${characters} characters are in the page`);
    await picture(page, "log-3mb-line");
  });

  it("leaves the end only with its reader, and says how much has come since", async () => {
    const ticks = Array.from({ length: 40 }, (_, index) => `raw tick${index + 1}\\n\nsleep 0.2`);
    const filler = `raw ${Array.from({ length: 200 }, (_, index) => `before${index + 1}`).join("\\n")}\\n`;
    const id = await server.submit("scout", `#!demo\n${filler}\n${ticks.join("\n")}`);
    await page.goto(`${server.url}/executions/${id}?tab=raw`);
    await log().getByText("tick3", { exact: true }).waitFor();
    await page.setViewportSize({ width: 900, height: 500 });
    await log().getByText("tick8", { exact: true }).waitFor();
    await log().hover();
    await page.mouse.wheel(0, -1_500);
    await page.getByRole("button", { name: /Jump to live – \d+ new/ }).waitFor();
    const top = await log().evaluate((element) => element.scrollTop);
    await page.getByRole("button", { name: /Jump to live – 1\d new/ }).waitFor();
    assert.equal(await log().evaluate((element) => element.scrollTop), top);
    await page.getByRole("button", { name: /Jump to live/ }).click();
    await log().getByText("tick40", { exact: true }).waitFor({ timeout: 20_000 });
    browser.assertQuiet();
  });
});

/**
 * Scrolls up, to the middle, and down again; fails when the page was busy for too long at a time.
 *
 * The browser says how long a task took on the clock, and how much of that it was given a processor
 * for: other programs of this machine are no fault of the page.
 */
async function scrolls(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {string} */ name,
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
  await page.getByRole("log").hover();
  const wheel = async (/** @type {number} */ by) => {
    for (let step = 0; step < 40; step += 1) {
      await page.mouse.wheel(0, by);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
    }
  };
  await wheel(-900);
  await page.getByRole("log").evaluate((log) => log.scrollTo(0, log.scrollHeight / 2));
  await wheel(900);
  const trace = JSON.parse(String(await browser.stopTracing()));
  const onClock = await page.evaluate(() => Reflect.get(globalThis, "longTasks"));
  const tasks = /** @type {{ name: string, dur?: number, tdur?: number }[]} */ (trace.traceEvents)
    .filter((event) => event.name.endsWith("RunTask") && event.tdur !== undefined)
    .map((event) => (event.tdur ?? 0) / 1_000);
  const longest = Math.max(...tasks);
  const clock = `${onClock.length} tasks over ${TASK_MS_MAX} ms by the clock (${onClock.join(", ")})`;
  console.log(`${name}: longest task ${longest.toFixed(1)} ms of processor time; ${clock}`);
  assert.ok(tasks.length > 0, "the browser told nothing of its tasks");
  assert.ok(longest <= TASK_MS_MAX, `${name}: a task of ${longest} ms`);
}
