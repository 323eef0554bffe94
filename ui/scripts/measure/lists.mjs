// @ts-check
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { enter, setUp } from "../../e2e/support/people.mjs";
import { Server } from "../../e2e/support/server.mjs";
import { measureScroll } from "./busy.mjs";
import { percentile } from "./percentile.mjs";

const EXECUTIONS = 1_000_000;
const AGENTS = 500;

/** How many rows are scrolled through, loaded page by page. */
const ROWS = 10_000;

const USABLE_MS = 1_000;

/** How often each page is opened, by a browser that has never seen it. */
const TIMES = 5;

/** The height of a row, in pixels. */
const ROW_PX = 44;

/** @typedef {import("../../e2e/support/browser.mjs").Browser} Browser */
/** @typedef {import("playwright-core").Page} Page */

/**
 * The list of agents with hundreds of them, which are not started: each would be a process.
 *
 * @param {Browser} browser
 */
export async function measureAgents(browser) {
  const server = await Server.start();
  try {
    const page = await (await browser.context()).newPage();
    await setUp(page, server);
    for (let number = 0; number < AGENTS; number += 1) {
      const name = `fleet-${String(number).padStart(3, "0")}`;
      await server.call("POST", "/api/agents?start=false", { name, runtime: "demo" });
    }
    const shows = page.getByRole("row").filter({ hasText: "fleet-" });
    const storageState = await page.context().storageState();
    const open = await opened(browser, storageState, `${server.url}/agents`, "fleet-");
    await page.goto(`${server.url}/agents`);
    await shows.first().waitFor();
    const scroller = page.getByRole("grid").locator("..");
    return [
      usable(`agents, ${AGENTS}: first rows painted`, open),
      await measureScroll(page, `agents, ${AGENTS}`, scroller, 900),
    ];
  } finally {
    await server.remove();
  }
}

/**
 * The list of executions with a million of them.
 *
 * @param {Browser} browser
 * @param {string} fill
 * @param {string} folder
 */
export async function measureExecutions(browser, fill, folder) {
  const server = await startFilled(fill, folder);
  try {
    const page = await (await browser.context()).newPage();
    await enter(page, server);
    const { total } = await server.call("GET", "/api/executions/facets");
    assert.ok(total >= EXECUTIONS, `${folder} has ${total} executions: remove it`);
    const storageState = await page.context().storageState();
    const url = `${server.url}/executions`;
    const open = await opened(browser, storageState, url, "only");
    await page.goto(url);
    await page.getByRole("row").nth(1).waitFor();
    const [choices, narrowed] = await narrowings(page, url);
    const scroller = page.getByRole("grid").locator("..");
    await page.goto(url);
    await page.getByRole("row").nth(1).waitFor();
    await scrollUntilLoaded(page, scroller);
    const name = `executions, ${EXECUTIONS.toLocaleString("en")}`;
    return [
      usable(`${name}: first rows painted`, open),
      usable(`${name}: filter opened, with its counts`, choices),
      usable(`${name}: rows of the filter painted`, narrowed),
      await measureScroll(page, `${ROWS.toLocaleString("en")} rows of executions`, scroller, -900),
    ];
  } finally {
    await server.remove();
  }
}

/** A server on the data directory with a million executions, which is made when it is missing. */
async function startFilled(/** @type {string} */ fill, /** @type {string} */ folder) {
  const isThere = await access(join(folder, "filled")).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    await mkdir(folder, { recursive: true });
    const fresh = await Server.start({ isDemo: false, folder });
    await fresh.stop();
    console.log(`filling ${folder} with ${EXECUTIONS} executions, which takes minutes`);
    await promisify(execFile)(fill, [folder, String(EXECUTIONS)]);
    await writeFile(join(folder, "filled"), "");
  }
  return Server.start({ isDemo: false, folder });
}

/**
 * How long after the beginning of the navigation the first rows are painted, each time in a browser
 * without a cache.
 *
 * @param {Browser} browser
 * @param {import("playwright-core").BrowserContextOptions["storageState"]} storageState
 * @param {string} url
 * @param {string} text
 */
async function opened(browser, storageState, url, text) {
  const took = [];
  for (let time = 0; time < TIMES; time += 1) {
    const context = await browser.context({ storageState });
    const page = await context.newPage();
    await page.addInitScript(noteRows, text);
    await page.goto(url);
    const paintedAt = await page.waitForFunction(() => Reflect.get(globalThis, "rowsAt"));
    took.push(Math.round(Number(await paintedAt.jsonValue())));
    await context.close();
  }
  return took;
}

/** Runs in the page: notes when rows with a text are first painted. */
function noteRows(/** @type {string} */ text) {
  new MutationObserver((_, observer) => {
    const rows = [...document.querySelectorAll("[role=row]")];
    if (!rows.some((row) => row.textContent?.includes(text))) return;
    observer.disconnect();
    requestAnimationFrame(() => Reflect.set(globalThis, "rowsAt", performance.now()));
  }).observe(document, { subtree: true, childList: true });
}

/** How long it takes to open a filter until its counts are there, and until its rows are. */
async function narrowings(/** @type {Page} */ page, /** @type {string} */ url) {
  const choices = [];
  const narrowed = [];
  for (let time = 0; time < TIMES; time += 1) {
    await page.goto(url);
    // As soon as there are rows, whatever else is still on its way.
    await page.getByRole("row").nth(1).waitFor();
    const filter = page.getByRole("button", { name: "Status", exact: true });
    choices.push(await clicked(filter, "[role=dialog]", "Failed\\d"));
    const choice = page.getByLabel("Failed", { exact: true });
    narrowed.push(await clicked(choice, "[role=row]:nth-child(2)", "Failed"));
  }
  return /** @type {const} */ ([choices, narrowed]);
}

/** How long after a click an element of `selector` is painted with what `pattern` finds. */
function clicked(
  /** @type {import("playwright-core").Locator} */ button,
  /** @type {string} */ selector,
  /** @type {string} */ pattern,
) {
  return button.evaluate(
    (element, [selector, pattern]) => {
      const wanted = new RegExp(pattern ?? "");
      const isThere = () =>
        [...document.querySelectorAll(selector ?? "")].some(({ textContent }) =>
          wanted.test(textContent ?? ""),
        );
      return new Promise((/** @type {(ms: number) => void} */ resolve) => {
        const begun = performance.now();
        new MutationObserver((_, observer) => {
          if (!isThere()) return;
          observer.disconnect();
          requestAnimationFrame(() => resolve(Math.round(performance.now() - begun)));
        }).observe(document, { subtree: true, childList: true, characterData: true });
        if (element instanceof HTMLElement) element.click();
      });
    },
    [selector, pattern],
  );
}

/** Goes down the list, page by page, until so many rows are loaded; then to their middle. */
async function scrollUntilLoaded(
  /** @type {Page} */ page,
  /** @type {import("playwright-core").Locator} */ scroller,
) {
  const height = ROWS * ROW_PX;
  await scroller.evaluate(
    (element, height) =>
      new Promise((/** @type {(_: void) => void} */ resolve) => {
        const down = () => {
          if (element.scrollHeight >= height) return resolve();
          element.scrollTop = element.scrollHeight;
          requestAnimationFrame(down);
        };
        down();
      }),
    height,
  );
  await page.getByText("Loading more").waitFor({ state: "detached" });
}

function usable(/** @type {string} */ what, /** @type {readonly number[]} */ took) {
  const median = percentile(took, 50) ?? USABLE_MS;
  return {
    what,
    goal: `${USABLE_MS} ms`,
    result: `${median} ms (${Math.min(...took)} to ${Math.max(...took)})`,
    isMet: median < USABLE_MS,
  };
}
