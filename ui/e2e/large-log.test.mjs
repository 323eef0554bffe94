// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { picture } from "./support/browser.mjs";
import { longestTask, scrollThrough, TASK_MS_MAX } from "./support/long-tasks.mjs";
import { LINES_100_000, TOOL_CALLS_10_000 } from "./support/scripts.mjs";
import { stage } from "./support/stage.mjs";

/** The lines of the long log, when they come all at once into a page that is open. */
const BURST = LINES_100_000.replace("#!demo\n", "");

describe("a log of any size", { timeout: 240_000 }, async () => {
  const { server, page } = await stage();

  const run = async (/** @type {string} */ script, rest = "") => {
    const id = await server.submit("scout", script);
    // Elsewhere first: what is measured is the reading of a log, not its writing.
    await page.goto(`${server.url}/executions/${id}?tab=io`);
    await page.locator("main header").getByText("Done").waitFor({ timeout: 60_000 });
    await page.goto(`${server.url}/executions/${id}${rest}`);
  };
  const log = () => page.getByRole("log");
  const scrolls = async () => {
    const { processorMs } = await longestTask(page, () => scrollThrough(page, log(), -900));
    assert.ok(processorMs <= TASK_MS_MAX, `a task of ${processorMs} ms`);
  };

  it("is scrolled through 100,000 lines, of which only some are read", async () => {
    await run(LINES_100_000, "?tab=raw");
    await log().getByText("n100000", { exact: true }).waitFor();
    await picture(page, "log-100000");
    await scrolls();
    await log().press("Home");
    await log().getByText("n1", { exact: true }).waitFor();
  });

  it("shows the last line of a burst of 100,000 that came while it was open", async () => {
    const id = await server.submit("scout", `#!demo\nraw ready\\n\nsleep 3\n${BURST}`);
    await page.goto(`${server.url}/executions/${id}?tab=raw`);
    await log().getByText("ready", { exact: true }).waitFor();
    // How fast the server stores lines is not the page's; from then on it has as long as any.
    await server.untilIdle();
    await log().getByText("n100000", { exact: true }).waitFor();
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
    await run(TOOL_CALLS_10_000);
    await log().getByText("src/file-10000.rs").waitFor();
    await scrolls();
  });

  it("shows the beginning of a line of 3 MB, and more of it when asked to", async () => {
    await run("#!demo\nbig 3000000", "?tab=raw");
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
  });
});
