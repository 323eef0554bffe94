// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { logIn, openPalette, PASSWORD } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

const SCRIPT = "#!demo\nsay Counting sheep\nsleep 1\nsay Still counting\nhang";

describe("the whole way, from the login to the deletion", { timeout: 180_000 }, async () => {
  const { server, browser } = await stage();

  /** A page that somebody has opened who is not logged in. */
  const opened = async () => {
    const page = await (await browser.context()).newPage();
    await page.goto(server.url);
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    return page;
  };
  const idOf = (/** @type {import("playwright-core").Page} */ page) =>
    page.url().match(/executions\/([0-9a-f-]{36})/)?.[1];

  it("is gone by the mouse", async () => {
    const page = await opened();
    const button = (/** @type {string} */ name) => page.getByRole("button", { name, exact: true });
    const dialog = (/** @type {string} */ name) => page.getByRole("dialog", { name });
    const header = () => page.locator("main header");
    await logIn(page);
    await page.getByRole("link", { name: "Agents", exact: true }).click();
    await button("Create agent").click();
    await dialog("Create an agent").getByLabel("Name").fill("mouse");
    await dialog("Create an agent").getByLabel("Runtime").selectOption("demo");
    await dialog("Create an agent").getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { level: 1, name: "mouse", exact: true }).waitFor();
    await page.getByText("Running", { exact: true }).first().waitFor();
    await page.getByRole("link", { name: "Tasks", exact: true }).click();
    await page.getByLabel("Task", { exact: true }).fill(SCRIPT);
    await button("Send").click();
    const task = page.getByRole("row").filter({ hasText: "Counting sheep" });
    await task.getByRole("link", { name: "Live" }).click();
    await page.getByRole("log").getByText("Still counting").waitFor();
    await header().getByText("Live").waitFor();
    await button("Stop").click();
    await dialog("Stop this run?").getByRole("button", { name: "Stop" }).click();
    await header().getByText("Cancelled").waitFor({ timeout: 20_000 });
    const before = idOf(page);
    await button("Rerun").click();
    await header().getByText("Live").waitFor();
    assert.notEqual(idOf(page), before);
    await page.getByRole("log").getByText("Still counting").waitFor();
    await button("Stop").click();
    await dialog("Stop this run?").getByRole("button", { name: "Stop" }).click();
    await header().getByText("Cancelled").waitFor({ timeout: 20_000 });
    await page.getByRole("link", { name: "Compare" }).click();
    await page.getByRole("row").nth(1).click();
    await page.getByRole("heading", { name: "Tool calls" }).waitFor();
    await page.getByText("No difference").first().waitFor();
    await page.getByRole("link", { name: "Agents", exact: true }).click();
    await page.getByRole("row").filter({ hasText: "mouse" }).click();
    await page.getByRole("link", { name: "Settings", exact: true }).click();
    await button("Delete agent").click();
    await dialog("Delete mouse").getByLabel("Type mouse to confirm").fill("mouse");
    await dialog("Delete mouse").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "mouse was deleted" }).waitFor({ timeout: 20_000 });
    await page.context().close();
  });

  it("is gone by keys alone", async () => {
    const page = await opened();
    const { keyboard } = page;
    const heading = (/** @type {string} */ name) =>
      page.getByRole("heading", { level: 1, name, exact: true });
    const header = () => page.locator("main header");
    const keys = async (/** @type {string[]} */ ...pressed) => {
      for (const key of pressed) await keyboard.press(key);
    };
    const command = async (/** @type {string} */ words) => {
      await openPalette(page);
      await keyboard.type(words);
      await page.locator("[data-selected]").filter({ hasText: words }).waitFor();
      await keys("Enter");
    };
    // The name is there already, and the password is where one begins.
    await page.locator("input[type=password]:focus").waitFor();
    await keyboard.type(PASSWORD);
    await keys("Enter");
    await heading("Dashboard").waitFor();

    await keys("g", "a");
    await heading("Agents").waitFor();
    await keys("n");
    await page.getByRole("dialog", { name: "Create an agent" }).getByLabel("Name").waitFor();
    await keyboard.type("keys");
    await keys("Tab");
    await keyboard.type("Demo");
    // A field of one line sends the form.
    await keys("Tab", "Enter");
    await heading("keys").waitFor();
    await page.getByText("Running", { exact: true }).first().waitFor();

    await keys("c");
    await page.waitForFunction(() => document.activeElement?.id === "message");
    await keyboard.insertText(SCRIPT);
    await keys("Control+Enter");
    await page.getByRole("row").filter({ hasText: "Counting sheep" }).waitFor();
    // Out of the field, where keys are text.
    await keys("Tab");
    await keys("j", "Enter");
    await page.waitForURL(/executions\/[0-9a-f-]{36}/);
    await page.getByRole("log").getByText("Still counting").waitFor();
    await header().getByText("Live").waitFor();

    const stop = async () => {
      await keys("s");
      await page.getByRole("dialog", { name: "Stop this run?" }).waitFor();
      await page.locator("[role=dialog] button:focus").filter({ hasText: "Stop" }).waitFor();
      await keys("Enter");
      await header().getByText("Cancelled").waitFor({ timeout: 20_000 });
    };
    await stop();
    const before = idOf(page);
    await keys("r");
    await page.waitForURL((url) => !url.pathname.includes(String(before)));
    await page.getByRole("log").getByText("Still counting").waitFor();
    await stop();

    await command("Compare with another");
    await page.getByRole("grid", { name: "Runs of the same agent" }).waitFor();
    await keys("j", "Enter");
    await heading("Compare").waitFor();
    await page.getByRole("heading", { name: "Tool calls" }).waitFor();
    await page.getByText("No difference").first().waitFor();

    await keys("g", "a");
    await heading("Agents").waitFor();
    await page.getByRole("row").filter({ hasText: "keys" }).waitFor();
    await keys("/");
    await keyboard.type("keys");
    await page.waitForURL(/q=keys/);
    await page.getByRole("row").filter({ hasText: "scout" }).waitFor({ state: "detached" });
    await keys("Tab");
    await keys("j", "Enter");
    await heading("keys").waitFor();
    await command("Delete keys");
    await page.getByRole("dialog", { name: "Delete keys" }).waitFor();
    await keyboard.type("keys");
    await keys("Enter");
    await heading("keys was deleted").waitFor({ timeout: 20_000 });
    await page.context().close();
  });
});
