// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible, assertFits } from "./support/browser.mjs";
import { setUp } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

describe("the first run", { timeout: 60_000 }, async () => {
  const { server, browser, page } = await stage({ isSetUp: false });

  it("tells a stranger to open the printed link, which leads to the first page", async () => {
    await page.goto(server.url);
    await page.getByText("The server printed a link").waitFor();
    await assertAccessible(page, "setup-without-link");
    await page.goto(server.setupUrl);
    await page.getByLabel("Password", { exact: true }).waitFor();
    await assertAccessible(page, "setup");
    await page.setViewportSize({ width: 360, height: 740 });
    await assertFits(page);
    await assertAccessible(page, "setup-phone");
    await page.setViewportSize({ width: 1280, height: 800 });
    await setUp(page, server);
    await page.getByRole("navigation", { name: "Pages" }).waitFor();

    const late = await (await browser.context()).newPage();
    await late.setViewportSize({ width: 360, height: 740 });
    await late.goto(server.setupUrl);
    await late.getByRole("link", { name: "Log in" }).click();
    await late.getByRole("heading", { name: "Log in" }).waitFor();
    assert.equal(new URL(late.url()).pathname, "/login");
    await assertFits(late);
    await assertAccessible(late, "login-phone");
  });
});
