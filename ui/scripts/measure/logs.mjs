// @ts-check
import { setUp } from "../../e2e/support/people.mjs";
import { LINES_100_000, TOOL_CALLS_10_000 } from "../../e2e/support/scripts.mjs";
import { Server } from "../../e2e/support/server.mjs";
import { measureScroll } from "./busy.mjs";

/** @param {import("../../e2e/support/browser.mjs").Browser} browser */
export async function measureLogs(browser) {
  const server = await Server.start();
  try {
    const page = await (await browser.context()).newPage();
    await setUp(page, server);
    const read = async (/** @type {string} */ script, /** @type {string} */ tab) => {
      const id = await server.submit("scout", script);
      // Elsewhere first: what is measured is the reading of a log, not its writing.
      await page.goto(`${server.url}/executions/${id}?tab=io`);
      await page.locator("main header").getByText("Done").waitFor({ timeout: 120_000 });
      await page.goto(`${server.url}/executions/${id}?tab=${tab}`);
      return page.getByRole("log");
    };
    const raw = await read(LINES_100_000, "raw");
    await raw.getByText("n100000", { exact: true }).waitFor();
    const rows = [await measureScroll(page, "raw log of 100,000 lines", raw, -900)];
    const transcript = await read(TOOL_CALLS_10_000, "transcript");
    await transcript.getByText("src/file-10000.rs").waitFor();
    rows.push(await measureScroll(page, "transcript of 10,000 tool calls", transcript, -900));
    return rows;
  } finally {
    await server.remove();
  }
}
