// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible, assertFits, picture } from "./support/browser.mjs";
import { untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

describe("agents", { timeout: 240_000 }, async () => {
  const { server, page } = await stage();

  const row = (/** @type {string} */ text) => page.getByRole("row").filter({ hasText: text });
  const button = (/** @type {string} */ name) => page.getByRole("button", { name, exact: true });
  const heading = (/** @type {string} */ name) =>
    page.getByRole("heading", { level: 1, name, exact: true });
  const open = async (/** @type {string} */ path) => {
    await page.goto(server.url + path);
    await untilLive(page);
  };

  it("lists the fleet, as a table and as cards, with the filter in the address", async () => {
    await open("/agents");
    await row("scout").getByText("Running").waitFor();
    await row("scout").getByText("0/3").waitFor();
    await row("scribe")
      .getByText(/Done|Failed/)
      .waitFor();
    await assertAccessible(page, "agents");
    await page.getByText("Cards", { exact: true }).click();
    await page.getByRole("listitem").filter({ hasText: "scribe" }).waitFor();
    await assertAccessible(page, "agents-cards");
    await open("/agents?status=failed");
    await page.getByText("No agents match").waitFor();
    await assertAccessible(page, "agents-nothing-fits");
    await button("Clear the filter").click();
    await row("scout").waitFor();
    await page.getByRole("searchbox").fill("scri");
    await page.waitForURL(/q=scri/);
    await row("scout").waitFor({ state: "detached" });
    assert.equal(await row("scribe").count(), 1);
  });

  it("creates an agent, after saying at the field what a name may be", async () => {
    await open("/agents");
    await button("Create agent").click();
    const dialog = page.getByRole("dialog", { name: "Create an agent" });
    await dialog.getByLabel("Name").fill("Web Pilot");
    await dialog.getByText("Lowercase letters, digits and hyphens").waitFor();
    assert.equal(await dialog.getByRole("button", { name: "Create" }).isDisabled(), true);
    await assertAccessible(page, "agents-create");
    await dialog.getByRole("button", { name: "Use web-pilot" }).click();
    await dialog.getByLabel("Runtime").selectOption("demo");
    await dialog.getByLabel("Runs at once").fill("99");
    await dialog.getByRole("button", { name: "Create" }).click();
    await dialog.getByText(/must be 1 to 32/).waitFor();
    await dialog.getByLabel("Runs at once").fill("1");
    await dialog.getByRole("button", { name: "Create" }).click();
    await heading("web-pilot").waitFor();
    await page.getByText("Running", { exact: true }).first().waitFor();
    await page.getByText("It has not run anything yet.").waitFor();
    await assertAccessible(page, "agent-overview-new");
  });

  it("runs a task and shows it live, the next one in the queue", async () => {
    await page.getByRole("link", { name: "Tasks", exact: true }).click();
    await page.getByText("web-pilot has not run anything yet").waitFor();
    await assertAccessible(page, "agent-tasks-empty");
    const script = "#!demo\nsay Counting sheep\nsleep 4\nsay Asleep\nresult success 0.5";
    await page.getByLabel("Task", { exact: true }).fill(script);
    await page.keyboard.press("Control+Enter");
    await row("Counting sheep").getByRole("link", { name: "Live" }).waitFor();
    await page
      .getByLabel("Task", { exact: true })
      .fill("#!demo\nsay After that\nresult success 0.1");
    // Twice, as a hasty hand does: one task.
    await button("Send").dblclick();
    await page.getByText("Queued, position 1.").waitFor();
    await row("After that")
      .getByText(/^Queued/)
      .waitFor();
    await picture(page, "agent-tasks-live");
    await row("After that").getByText("Done").waitFor({ timeout: 20_000 });
    await row("Counting sheep").getByText("$0.50").waitFor();
    assert.equal(await row("After that").count(), 1);
    await button("Options").click();
    await page.getByLabel("Timeout, seconds").fill("99999");
    await page.getByLabel("Task", { exact: true }).fill("too long");
    await button("Send").click();
    await page.getByText(/allows 900/).waitFor();
    await assertAccessible(page, "agent-tasks-refused");
  });

  it("shows what happened, each entry below what led to it, as it happens", async () => {
    await open("/agents/web-pilot/activity");
    await row("Counting sheep").getByText("Done").waitFor();
    const tools = '#!demo\ntool Read {"file_path":"a.md"} => # A\nsleep 1\nresult success 0.1';
    await server.submit("web-pilot", tools);
    await row("Tool call").getByText("Done").waitFor();
    await assertAccessible(page, "agent-activity");
    await page.goto(`${server.url}/agents/web-pilot/activity?type=tool_call`);
    await row("Tool call").waitFor();
    assert.equal(await row("Counting sheep").count(), 0);
    await page.goto(`${server.url}/agents/web-pilot/activity?triggered_by=schedule,agent`);
    await page.getByText("No activity matches").waitFor();
    await page.goto(`${server.url}/agents/web-pilot/activity?triggered_by=user`);
    await row("Tool call").waitFor();
    await page.getByRole("searchbox").fill("counting");
    await page.waitForURL(/q=counting/);
    await row("Tool call").waitFor({ state: "detached" });
    await row("Counting sheep").waitFor();
    await page.getByRole("searchbox").fill("giraffe");
    await page.getByText("No activity matches").waitFor();
    await page.getByRole("button", { name: "Clear the filter", exact: true }).click();
    await row("Tool call").waitFor();
  });

  it("looks further for what is rare when somebody says so", async () => {
    const pages = ["first", "second"];
    await page.route("**/api/agents/web-pilot/activities?*", async (route) => {
      const url = new URL(route.request().url());
      const next = pages.shift();
      if (next) {
        const json = { count: 0, activities: [], next_cursor: next, position: 1 };
        return route.fulfill({ json, headers: { position: "1" } });
      }
      url.searchParams.delete("cursor");
      return route.continue({ url: url.href });
    });
    await open("/agents/web-pilot/activity?q=counting");
    await button("Look further").click();
    await row("Counting sheep").waitFor();
    assert.equal(await button("Look further").count(), 0);
    await page.unrouteAll();
  });

  it("shows how it is and what it did", async () => {
    await open("/agents/web-pilot");
    await page.getByRole("link", { name: "Counting sheep" }).waitFor();
    await page.getByText("No agent can call this one").waitFor();
    await assertAccessible(page, "agent-overview");
  });

  it("saves each setting by itself, and never over what nobody has seen", async () => {
    await open("/agents/web-pilot/settings");
    const form = page.getByRole("form", { name: "Runs at once" });
    await form.getByLabel("Runs at once").fill("5");
    await server.call("PUT", "/api/agents/web-pilot/capacity", { max_parallel_tasks: 7 });
    await form.getByText("Somebody has set this to 7").waitFor();
    await assertAccessible(page, "agent-settings-conflict");
    await form.getByRole("button", { name: "Keep mine" }).click();
    await form.getByRole("button", { name: "Save" }).click();
    await page.getByText("Runs at once saved").waitFor();
    await page.getByText("0/5").first().waitFor();
    await form.getByLabel("Runs at once").fill("0");
    await form.getByRole("button", { name: "Save" }).click();
    await form.getByText(/must be 1 to 32/).waitFor();
  });

  it("stops, says so where tasks are written, and starts again", async () => {
    await open("/agents/web-pilot/tasks");
    await button("Stop").click();
    await page.getByText("takes tasks while it runs").waitFor();
    await page.getByText("Stopped", { exact: true }).waitFor();
    await assertAccessible(page, "agent-stopped");
    await button("Start it").click();
    await page.getByText("Running", { exact: true }).waitFor();
  });

  it("asks before it ends what runs", async () => {
    await server.submit("web-pilot", "#!demo\nsay Long work\nsleep 60\nresult success 0.1");
    await open("/agents");
    await button("Stop web-pilot").click();
    await page.getByText("1 run is ended").click();
    await button("Cancel").click();
    assert.equal(new URL(page.url()).pathname, "/agents");
    await row("web-pilot").click();
    await heading("web-pilot").waitFor();
    await page.getByRole("link", { name: "Tasks", exact: true }).click();
    await row("Long work").getByRole("link", { name: "Live" }).waitFor();
    await button("Stop").click();
    await page.getByText("1 run is ended").waitFor();
    await assertAccessible(page, "agent-stop");
    await button("Stop and end runs").click();
    await row("Long work").getByText("Cancelled").waitFor({ timeout: 20_000 });
  });

  it("is of use on a phone", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    for (const [path, name] of [
      ["/agents", "agents-phone"],
      ["/agents/web-pilot/overview", "agent-overview-phone"],
      ["/agents/web-pilot/tasks", "agent-tasks-phone"],
      ["/agents/web-pilot/activity", "agent-activity-phone"],
      ["/agents/web-pilot/settings", "agent-settings-phone"],
    ]) {
      await open(path ?? "");
      await page.getByText("web-pilot").first().waitFor();
      await assertFits(page);
      await assertAccessible(page, name ?? "");
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  it("deletes by the typed name, says what that means, and keeps the page of what is gone", async () => {
    await open("/agents/web-pilot/settings");
    await button("Delete agent").click();
    const dialog = page.getByRole("dialog", { name: "Delete web-pilot" });
    await dialog.getByText("its workspace, with every file in it").waitFor();
    assert.equal(await dialog.getByRole("button", { name: "Delete" }).isDisabled(), true);
    await assertAccessible(page, "agent-delete");
    await dialog.getByLabel("Type web-pilot to confirm").fill("web-pilot");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await heading("web-pilot was deleted").waitFor({ timeout: 20_000 });
    await page.getByText(/Deleted .* by admin/).waitFor();
    await assertAccessible(page, "agent-deleted");
    await page.reload();
    await heading("web-pilot was deleted").waitFor();
    await page.getByText(/Deleted .* by admin/).waitFor();
  });

  it("says that there is no such agent, or that somebody has deleted it meanwhile", async () => {
    await open("/agents/nobody");
    await page.getByRole("heading", { name: "There is no agent “nobody”" }).waitFor();
    await assertAccessible(page, "agent-missing");
    await server.call("POST", "/api/agents", { name: "brief", runtime: "demo" });
    await open("/agents/brief/tasks");
    await heading("brief").waitFor();
    await server.call("DELETE", "/api/agents/brief");
    await heading("brief was deleted").waitFor();
  });
});
