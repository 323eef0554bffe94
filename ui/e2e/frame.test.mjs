// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible, assertFits, OTHER_MACHINE, picture } from "./support/browser.mjs";
import { logIn, openPalette, untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

describe("the frame", { timeout: 180_000 }, async () => {
  let { server, browser, page } = await stage();
  await page.goto(`${server.url}/executions`);

  const row = (/** @type {string} */ text) => page.getByRole("row").filter({ hasText: text });

  it("shows the runs of the demo fleet, in both themes without barriers", async () => {
    await row("Write the release notes").waitFor();
    await row("Find out which").getByText("Done").waitFor();
    await untilLive(page);
    await assertAccessible(page, "executions");
  });

  it("shows a new run and every change of it without a reload", async () => {
    await server.submit(
      "scout",
      "#!demo\nsay Counting sheep\nsleep 2\nsay Asleep\nresult success 0.5",
    );
    await row("Counting sheep").getByText("Running").waitFor();
    await picture(page, "executions-running");
    await row("Counting sheep").getByText("Done").waitFor();
    await row("Counting sheep").getByText("$0.50").waitFor();
  });

  it("keeps the filter in the address, and says when nothing fits it", async () => {
    await page.goto(`${server.url}/executions?status=failed`);
    await row("Failed: turn limit").waitFor();
    assert.equal(await row("Done").count(), 0);
    await page.getByRole("searchbox").fill("nowhere");
    await page.getByText("No executions match").waitFor();
    assert.equal(new URL(page.url()).search, "?status=failed&q=nowhere");
    await assertAccessible(page, "executions-nothing-fits");
    await page.getByRole("button", { name: "Clear the filter", exact: true }).click();
    await row("Write the release notes").waitFor();
    assert.equal(new URL(page.url()).search, "");
  });

  it("is used by keys alone", async () => {
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByText("1 selected").waitFor();
    await page.getByRole("button", { name: "Copy ids" }).press("Enter");
    await page.getByRole("alert").getByText("Copied to the clipboard").waitFor();
    await openPalette(page);
    await assertAccessible(page, "palette");
    await page.keyboard.type("shortcuts");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await assertAccessible(page, "shortcuts");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("/");
    await page.keyboard.type("draft");
    await page.waitForURL(/q=draft/);
  });

  it("runs what is found after it was asked for", async () => {
    let ask = () => {};
    const isAsked = new Promise((resolve) => {
      ask = () => resolve(undefined);
    });
    await page.route(/\/api\/agents\/scout\b/, async (route) => {
      await isAsked;
      await route.continue();
    });
    await page.goto(`${server.url}/agents/scout/overview`);
    await page.getByRole("heading", { level: 1, name: "scout" }).waitFor();
    await openPalette(page);
    // The agent is not known yet, nor what can be done with it.
    await page.keyboard.type("Run a task on scout");
    await page.getByText("Nothing found").waitFor();
    ask();
    await page.locator("[data-selected]").filter({ hasText: "Run a task on scout" }).waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/agents\/scout\/tasks/);
    await page.unrouteAll();
  });

  it("runs nothing in place of what is gone from under the keys", async () => {
    await page.goto(`${server.url}/agents/scout/overview`);
    await page.getByRole("button", { name: "Stop", exact: true }).waitFor();
    await openPalette(page);
    await page.keyboard.type("stop scout");
    const selected = page.locator("[data-selected]");
    await selected.filter({ hasText: "Stop scout" }).waitFor();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("scout");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await selected.filter({ hasText: "Restart scout" }).waitFor();
    await server.call("POST", "/api/agents/scout/stop", {});
    await page
      .locator("[data-action]")
      .filter({ hasText: /^Start scout/ })
      .waitFor();
    assert.equal(await selected.count(), 0);
    await page.keyboard.press("Escape");
    await server.call("POST", "/api/agents/scout/start", {});
  });

  it("leads back to the same page after an expired login", async () => {
    await page.goto(`${server.url}/executions?agent=scribe`);
    await row("Write the release notes").waitFor();
    await page.context().clearCookies();
    await page.getByRole("button", { name: "Status", exact: true }).click();
    // Not `check`: the page is gone before it could be looked at whether it is checked.
    await page.getByLabel("Done").click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    await assertAccessible(page, "login");
    await logIn(page);
    await row("Write the release notes").waitFor();
    assert.match(page.url(), /\/executions\?agent=scribe&status=completed$/);
  });

  it("says that it is not live while the server is away, and catches up when it is back", async () => {
    await page.goto(`${server.url}/executions`);
    await untilLive(page);
    await server.stop();
    await page.getByText("Live updates paused").waitFor();
    await assertAccessible(page, "paused");
    assert.ok((await row("Write the release notes").count()) > 0);
    await page.getByRole("button", { name: "Retry now" }).click();
    await server.startAgain();
    await server.submit("scribe", "#!demo\nsay Back again\nresult success 0.01");
    await row("Back again").getByText("Done").waitFor({ timeout: 30_000 });
    await page.getByText("Live updates paused").waitFor({ state: "detached" });
  });

  it("holds one stream for all tabs, which another tab takes over", async () => {
    const open = new Set();
    const context = page.context();
    context.on("request", (request) => isStream(request) && open.add(request));
    context.on("requestfinished", (request) => open.delete(request));
    context.on("requestfailed", (request) => open.delete(request));
    await page.reload();
    await untilLive(page);
    const other = await context.newPage();
    await other.goto(`${server.url}/executions`);
    await untilLive(other);
    assert.equal(open.size, 1);

    await server.submit("scout", "#!demo\nsay Seen by both\nresult success 0.01");
    await other.getByRole("row").filter({ hasText: "Seen by both" }).getByText("Done").waitFor();
    await page.close();
    await server.submit("scout", "#!demo\nsay Seen by the heir\nresult success 0.01");
    await other
      .getByRole("row")
      .filter({ hasText: "Seen by the heir" })
      .getByText("Done")
      .waitFor();
    page = other;
  });

  it("works without TLS from another machine, where browsers lend pages less", async () => {
    const far = await (await browser.context()).newPage();
    await far.goto(`http://${OTHER_MACHINE}:${new URL(server.url).port}/executions`);
    await logIn(far);
    await untilLive(far);
    await server.submit("scout", "#!demo\nsay Seen from afar\nresult success 0.01");
    await far.getByRole("row").filter({ hasText: "Seen from afar" }).getByText("Done").waitFor();
    await far.context().close();
  });

  it("has no barriers in what opens over the page", async () => {
    await page.getByRole("button", { name: "Status", exact: true }).click();
    await page.getByLabel("Failed").waitFor();
    await assertAccessible(page, "executions-filter");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Columns" }).click();
    await page.getByLabel("Compact rows").check();
    await assertAccessible(page, "executions-columns");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /Settings and log out/ }).click();
    await page.getByLabel("Time zone").selectOption("Asia/Tokyo");
    await assertAccessible(page, "settings");
    await page.keyboard.press("Escape");
  });

  it("is of use on a phone", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await row("Write the release notes").waitFor();
    await assertFits(page);
    await assertAccessible(page, "executions-phone");
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  it("says what is not there", async () => {
    await page.goto(`${server.url}/nowhere`);
    await page.getByText("There is no such page").waitFor();
    await assertAccessible(page, "not-found");
  });
});

const isStream = (/** @type {import("playwright-core").Request} */ request) =>
  new URL(request.url()).pathname === "/api/stream";
