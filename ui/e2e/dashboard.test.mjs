// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible, assertFits, picture } from "./support/browser.mjs";
import { setUp, untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

describe("the dashboard", { timeout: 120_000 }, async () => {
  const { server, page } = await stage();

  const tile = (/** @type {string} */ name) => page.getByRole("link", { name, exact: true });
  const region = (/** @type {string} */ name) => page.getByRole("region", { name });
  const query = () => new URL(page.url()).searchParams;

  it("is the first page, and shows the fleet", async () => {
    await page.goto(server.url);
    await page.getByRole("heading", { name: "Dashboard" }).waitFor();
    await untilLive(page);
    await tile("Agents up: 2").waitFor();
    await tile("Failed 24 h: 1").waitFor();
    await region("Failures by cause").getByText("Turn limit").waitFor();
    await tile("Running: 0").waitFor({ timeout: 15_000 });
    await assertAccessible(page, "dashboard");
  });

  it("shows what runs as it runs, without a reload", async () => {
    const script = "#!demo\nsay Counting the sheep\nsleep 3\nresult success 0.5";
    const running = region("Running now");
    await Promise.all([1, 2, 3, 4].map(() => server.submit("scout", script)));
    await tile("Running: 3").waitFor();
    await tile("Queued: 1").waitFor();
    await running.getByText("Counting the sheep").nth(2).waitFor();
    await region("Slots").getByText("3/3").waitFor();
    await region("Slots").getByText("+1 queued").waitFor();
    await picture(page, "dashboard-running");
    await tile("Running: 0").waitFor({ timeout: 15_000 });
    await running.getByText("Nothing runs at the moment").waitFor();
    await tile("Queued: 0").waitFor();
  });

  it("leads from every number to the rows behind it", async () => {
    await tile("Failed 24 h: 1").click();
    await page.getByRole("heading", { name: "Executions" }).waitFor();
    assert.equal(query().get("status"), "failed");
    await page.getByRole("row").filter({ hasText: "Failed: turn limit" }).waitFor();
    await page.goBack();
    await region("Slots")
      .getByRole("link", { name: /^scout/ })
      .click();
    await page.waitForURL(/\/agents\/scout/);
    await page.goBack();
    await page.getByRole("link", { name: "0 down" }).click();
    await page.waitForURL(/\/agents\?status=stopped/);
    await page.goBack();
  });

  it("draws the day in bars that arrows reach and Enter opens", async () => {
    const bars = page.getByRole("list", { name: "Runs by the hour" });
    await bars.getByRole("link").nth(23).waitFor();
    assert.equal(await bars.getByRole("link").count(), 24);
    const last = bars.getByRole("link").nth(23);
    assert.match((await last.getAttribute("aria-label")) ?? "", /done, 1 failed/);
    await last.focus();
    await page.keyboard.press("ArrowLeft");
    await page.getByRole("tooltip").getByText("nothing ended").waitFor();
    await page.keyboard.press("ArrowRight");
    await page.getByRole("tooltip").getByText("1 failed").waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/executions\?from=.+&to=.+/);
    await page.getByRole("row").filter({ hasText: "Counting the sheep" }).first().waitFor();
    await page.goBack();
  });

  it("keeps what it knows while the server is away", async () => {
    await tile("Agents up: 2").waitFor();
    await server.stop();
    await page.getByText("Live updates paused").waitFor();
    assert.equal(await tile("Failed 24 h: 1").count(), 1);
    await server.startAgain();
    await page.getByRole("button", { name: "Retry now" }).click();
    await page.getByText("Live updates paused").waitFor({ state: "detached" });
    await server.submit("scribe", "#!demo\nsleep 2\nresult success 0.1");
    await tile("Running: 1").waitFor();
  });

  it("says which part could not be read, and reads it again", async () => {
    await page.route("**/api/executions/failures*", (route) => route.abort());
    await page.reload();
    const failures = region("Failures by cause");
    await failures.getByText("Server not reachable").waitFor();
    await tile("Agents up: 2").waitFor();
    await page.unroute("**/api/executions/failures*");
    await failures.getByRole("button", { name: "Retry" }).click();
    await failures.getByText("Turn limit").waitFor();
  });

  it("is of use on a phone", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await tile("Agents up: 2").waitFor();
    await assertFits(page);
    assert.equal(
      await page.getByRole("list", { name: "Runs by the hour" }).getByRole("link").count(),
      12,
    );
    await assertAccessible(page, "dashboard-phone");
    await page.setViewportSize({ width: 1280, height: 800 });
  });
});

describe("the dashboard of an empty server", { timeout: 60_000 }, async () => {
  const { server, page } = await stage({ isDemo: false, isSetUp: false });

  it("leads to the first run, ticked as it happens", async () => {
    await setUp(page, server);
    await page.goto(server.url);
    const steps = page.getByRole("region", { name: "First steps" });
    await steps.getByText("trinity agent create scout").waitFor();
    await untilLive(page);
    await assertAccessible(page, "dashboard-first-use");
    await server.call("POST", "/api/agents", { name: "scout", runtime: "demo" });
    await steps.getByRole("listitem").filter({ hasText: "(done)" }).waitFor();
    await page
      .getByRole("link", { name: "Agents up: 1", exact: true })
      .waitFor({ timeout: 20_000 });
    await server.submit("scout", "#!demo\nsay Hello\nresult success 0.01");
    await page.getByRole("region", { name: "First steps: done" }).waitFor();
    await assertAccessible(page, "dashboard-first-use-done");
    await page.reload();
    await page.getByRole("link", { name: "Agents up: 1", exact: true }).waitFor();
    await page.getByRole("region", { name: "Slots" }).getByText("scout").waitFor();
    assert.equal(await page.getByRole("region", { name: "First steps" }).count(), 0);
  });
});
