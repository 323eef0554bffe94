// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible, assertFits } from "./support/browser.mjs";
import { logIn, PASSWORD, untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

describe("the system page", { timeout: 60_000 }, async () => {
  const { server, browser, page } = await stage();

  const model = (/** @type {string} */ name) =>
    page.getByRole("listitem").filter({ has: page.getByRole("heading", { name, exact: true }) });
  const holdings = () => page.getByRole("region", { name: "Store and load" });
  const head = () => page.getByRole("region", { name: "Server" }).getByRole("link");

  it("says how the server is", async () => {
    await page.getByRole("link", { name: "System" }).click();
    await page.getByText("Healthy").waitFor();
    await untilLive(page);
    await model("executions").getByText("Current").waitFor();
    await page.getByRole("heading", { name: "Isolation of agents" }).waitFor();
    await holdings().getByText("SQLite").waitFor();
    await holdings()
      .getByText(/GB free/)
      .waitFor();
    await assertAccessible(page, "system");
  });

  it("follows the log", async () => {
    const before = await head().textContent();
    await server.submit("scout", "#!demo\nsay Hello\nresult success 0.01");
    await page.waitForFunction(
      ([selector, text]) => document.querySelector(selector ?? "")?.textContent !== text,
      ["section a[href='/events']", before],
    );
  });

  it("rebuilds a read model after asking", async () => {
    await model("activities").getByRole("button", { name: "Rebuild" }).click();
    await page.getByRole("dialog", { name: "Rebuild activities?" }).waitFor();
    await assertAccessible(page, "system-rebuild");
    await page.getByRole("dialog").getByRole("button", { name: "Rebuild" }).click();
    await page.getByText("activities is being rebuilt").waitFor();
    await server.submit("scout", "#!demo\nsay Again\nresult success 0.01");
    await model("activities").getByText("Current").waitFor();
  });

  it("describes the API, to read and to try, by this server alone", async () => {
    const asked = new Set();
    const docs = await page.context().newPage();
    docs.on("request", (request) => asked.add(new URL(request.url()).origin));
    await docs.goto(`${server.url}/api/docs`);
    const operation = docs.locator(".opblock").filter({ hasText: "/api/agents/{name}/activities" });
    await operation.locator(".opblock-summary-control").click();
    await operation.getByText("Where the page begins").waitFor();
    await operation.getByRole("button", { name: "Try it out" }).click();
    await operation.getByPlaceholder("name", { exact: true }).fill("scout");
    await operation.getByRole("button", { name: "Execute" }).click();
    const answer = operation.locator(".live-responses-table");
    await answer.getByText("200", { exact: true }).waitFor();
    await answer.getByText("next_cursor").waitFor();
    assert.deepEqual(
      [...asked].filter((origin) => origin !== "null"),
      [server.url],
    );
    await docs.close();
  });

  it("is of use on a phone", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await model("executions").getByText("Current").waitFor();
    await assertFits(page);
    await assertAccessible(page, "system-phone");
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  it("shows others how the server is, and nothing to change", async () => {
    await server.call("POST", "/api/users", { username: "ada", password: PASSWORD, role: "user" });
    const other = await (await browser.context()).newPage();
    await other.goto(`${server.url}/login?next=/system`);
    await logIn(other, "ada");
    await other.getByText("Healthy").waitFor();
    await other.getByText("Current").first().waitFor();
    assert.equal(await other.getByRole("button", { name: /Rebuild/ }).count(), 0);
    assert.equal(await other.getByRole("region", { name: "Store and load" }).count(), 0);
    await assertAccessible(other, "system-user");
  });
});
