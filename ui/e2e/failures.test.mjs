// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible, picture } from "./support/browser.mjs";
import { logIn, PASSWORD, untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";

const HOUR_MS = 3_600_000;
/** How many agents of the large fleet are made at a time. */
const MADE_AT_ONCE = 10;

/** Makes 500 agents that are not started: `fleet-000` to `fleet-499`. */
async function makeFleet(/** @type {import("./support/server.mjs").Server} */ server) {
  for (let first = 0; first < 500; first += MADE_AT_ONCE) {
    const numbers = Array.from({ length: MADE_AT_ONCE }, (_, index) => first + index);
    await Promise.all(
      numbers.map((number) => {
        const name = `fleet-${String(number).padStart(3, "0")}`;
        return server.call("POST", "/api/agents?start=false", { name, runtime: "demo" });
      }),
    );
  }
}

describe("when something goes wrong", { timeout: 600_000 }, async () => {
  const { server, browser, page } = await stage();

  const row = (/** @type {string} */ text) => page.getByRole("row").filter({ hasText: text });
  const heading = (/** @type {string} */ name) =>
    page.getByRole("heading", { level: 1, name, exact: true });
  const header = () => page.locator("main header");
  const log = () => page.getByRole("log");
  const open = async (/** @type {string} */ path) => {
    await page.goto(server.url + path);
    await untilLive(page);
  };
  const paused = () => page.getByText("Live updates paused");

  it("shows nothing to somebody without access, and says what they may not do", async () => {
    await server.call("POST", "/api/users", { username: "ada", password: PASSWORD, role: "user" });
    const id = await server.submit("scout", "#!demo\nsay Secret plans\nresult success 0.01");
    const context = await browser.context();
    const other = await context.newPage();
    await other.goto(`${server.url}/login`);
    await logIn(other, "ada");
    await other.getByRole("navigation", { name: "Pages" }).waitFor();
    await other.goto(`${server.url}/agents/scout/overview`);
    await other.getByRole("heading", { name: "There is no agent “scout”" }).waitFor();
    await other.goto(`${server.url}/executions/${id}`);
    await other.getByRole("heading", { name: "There is no such execution" }).waitFor();
    await other.goto(`${server.url}/executions`);
    await other.getByText("Nothing has run yet").waitFor();
    assert.equal(await other.getByText("Secret plans").count(), 0);
    // What the server says to a user who asks for what is an administrator's.
    await other.route("**/api/executions?*", async (route) => {
      const response = await context.request.get(`${server.url}/api/users`);
      assert.equal(response.status(), 403);
      await route.fulfill({ response });
    });
    await other.reload();
    await other.getByRole("heading", { name: "Not allowed" }).waitFor();
    await other.getByText("only an administrator may do this").waitFor();
    await other.getByRole("button", { name: "Copy the request id" }).waitFor();
    assert.equal(await other.getByRole("button", { name: "Retry" }).count(), 0);
    await assertAccessible(other, "forbidden");
    await context.close();
  });

  it("says who has deleted an agent and when, while its page is open", async () => {
    await server.call("POST", "/api/agents", { name: "brief", runtime: "demo" });
    await server.call("POST", "/api/users", { username: "ben", password: PASSWORD, role: "admin" });
    const context = await browser.context();
    const other = await context.newPage();
    await other.goto(`${server.url}/login`);
    await logIn(other, "ben");
    await other.getByRole("navigation", { name: "Pages" }).waitFor();
    await open("/agents/brief/tasks");
    await heading("brief").waitFor();
    const deletion = await context.request.delete(`${server.url}/api/agents/brief`, {
      headers: { origin: server.url },
    });
    assert.ok(deletion.ok());
    await heading("brief was deleted").waitFor();
    await page.getByText(/Deleted \d\d:\d\d.* by ben/).waitFor();
    await assertAccessible(page, "agent-deleted-by-another");
    await context.close();
  });

  it("loads its data again when its place in the log is not known any more", async () => {
    await open("/executions");
    // Told before it has read its data, a page need not read them again.
    const isLoaded = page.waitForResponse(/\/api\/executions\?/);
    // A stream that begins far beyond the end of the log, as after another log has taken its place.
    await page.route("**/api/stream?*", async (route) => {
      await isLoaded;
      const url = new URL(route.request().url());
      url.searchParams.set("after", "999999999");
      return route.continue({ url: url.href });
    });
    let reads = 0;
    page.on("response", (response) => {
      if (/\/api\/executions\?/.test(response.url())) reads += 1;
    });
    await page.reload();
    await until("the list is read again", () => reads > 1);
    await page.unrouteAll();
    await server.submit("scout", "#!demo\nsay After the reset\nresult success 0.01");
    await row("After the reset").getByText("Done").waitFor();
  });

  it("loses nothing when the server is killed and started again", async () => {
    const script =
      "#!demo\nraw first\\n\nsleep 4\nraw second\\n\nsay Outlived\nresult success 0.01";
    const id = await server.submit("scribe", script);
    await open(`/executions/${id}?tab=raw`);
    await log().getByText("first", { exact: true }).waitFor();
    await server.stop("SIGKILL");
    await paused().waitFor();
    await server.startAgain();
    await log().getByText("second", { exact: true }).waitFor({ timeout: 30_000 });
    await header().getByText("Done").waitFor();
    await paused().waitFor({ state: "detached" });
    await untilLive(page);
    for (const line of ["first", "second"])
      assert.equal(await log().getByText(line, { exact: true }).count(), 1);

    await open("/executions");
    const before = await server.submit("scribe", "#!demo\nsay Before the kill\nsleep 3");
    await row("Before the kill").getByText("Running").waitFor();
    await server.stop("SIGKILL");
    await paused().waitFor();
    await server.startAgain();
    const after = await server.submit("scribe", "#!demo\nsay After the kill");
    await row("After the kill").getByText("Done").waitFor({ timeout: 30_000 });
    await row("Before the kill").getByText("Done").waitFor({ timeout: 30_000 });
    const { status } = await server.call("GET", `/api/executions/${before}`);
    assert.equal(status, "completed");
    assert.notEqual(before, after);
    assert.equal(await row("Before the kill").count(), 1);
  });

  it("leads to the login when the session ends, and back to the same page", async () => {
    const path = "/executions?agent=scribe&status=completed";
    await open(path);
    await row("Before the kill").waitFor();
    // As if from elsewhere: the page itself does nothing.
    const ended = await page.context().request.delete(`${server.url}/api/token`, {
      headers: { origin: server.url },
    });
    assert.ok(ended.ok());
    await page.getByRole("heading", { name: "Log in" }).waitFor({ timeout: 40_000 });
    await logIn(page);
    await row("Before the kill").waitFor();
    assert.equal(page.url(), server.url + path);
    await untilLive(page);
  });

  it("shows ages and durations by the server's clock, however wrong the browser's is", async () => {
    for (const skewMs of [-2 * HOUR_MS, 2 * HOUR_MS]) {
      const context = await browser.context({ storageState: await page.context().storageState() });
      const skewed = await context.newPage();
      await skewed.clock.install({ time: Date.now() + skewMs });
      await skewed.goto(`${server.url}/executions`);
      await untilLive(skewed);
      const name = `Skewed by ${skewMs}`;
      await server.submit("scout", `#!demo\nsay ${name}\nsleep 3\nresult success 0.01`);
      const shown = skewed.getByRole("row").filter({ hasText: name });
      await shown.getByText("Running").waitFor();
      await shown.getByText(/^[123] s$/).waitFor();
      await shown.getByText("Done").waitFor();
      await skewed.goto(`${server.url}/agents`);
      await skewed.getByRole("row").filter({ hasText: "scout" }).getByText("just now").waitFor();
      await context.close();
    }
  });

  it("keeps still for whoever wants less motion", async () => {
    const moving = () =>
      page.evaluate(
        () =>
          document
            .getAnimations()
            .filter(
              ({ playState, effect }) =>
                playState === "running" && effect?.getComputedTiming().iterations === Infinity,
            ).length,
      );
    await page.emulateMedia({ reducedMotion: "no-preference" });
    const id = await server.submit("scout", "#!demo\nsay Moving\nhang");
    await open(`/executions/${id}`);
    await header().getByText("Live").waitFor();
    await until("the badge pulses", async () => (await moving()) > 0);
    await page.emulateMedia({ reducedMotion: "reduce" });
    await header().getByText("Live").waitFor();
    assert.equal(await moving(), 0);
    await server.call("POST", `/api/agents/scout/executions/${id}/terminate`, {});
    await header().getByText("Cancelled").waitFor({ timeout: 20_000 });
  });

  it("says that nothing is heard of a run, and that it is heard again", async () => {
    const id = await server.submit("scribe", "#!demo\nsay Out of reach\nhang");
    await open(`/executions/${id}`);
    await header().getByText("Live").waitFor();
    await server.signalAgents("SIGSTOP");
    // Half a minute passes until then, in which the next test's fleet is made.
    const fleet = makeFleet(server);
    try {
      await page.getByText("Nothing has been heard of it since").waitFor({ timeout: 90_000 });
      await header().getByText("No contact").waitFor();
      assert.equal(await header().getByText("Live").count(), 0);
      await assertAccessible(page, "execution-no-contact");
    } finally {
      await server.signalAgents("SIGCONT");
      await fleet;
    }
    await header().getByText("Live").waitFor({ timeout: 60_000 });
    await server.call("POST", `/api/agents/scribe/executions/${id}/terminate`, {});
    await header().getByText("Cancelled").waitFor({ timeout: 20_000 });
  });

  it("is of use with 500 agents", async () => {
    await open("/agents");
    await row("fleet-49").first().waitFor();
    const drawn = await page.getByRole("row").count();
    assert.ok(drawn < 100, `${drawn} rows are drawn`);
    await page.getByRole("grid").press("End");
    await page.getByRole("row").last().waitFor();
    await page.getByRole("searchbox").fill("fleet-123");
    await row("fleet-123").waitFor();
    assert.equal(await row("fleet-").count(), 1);
    await picture(page, "agents-500");
    await open("/");
    await page.getByRole("heading", { name: "Dashboard" }).waitFor();
    await assertAccessible(page, "dashboard-500");
  });
});
