// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible, assertFits } from "./support/browser.mjs";
import { untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

const HOSTILE =
  "#!demo\nsay <img src=x onerror=alert(1)> \u202egnp.exe\u202c \u001b[31mred\nresult success 0.01";

describe("the events", { timeout: 120_000 }, async () => {
  const { server, page } = await stage();
  await server.untilIdle();

  const row = (/** @type {string | RegExp} */ text) =>
    page.getByRole("row").filter({ hasText: text });
  const at = (/** @type {number} */ position) =>
    page.getByRole("link", { name: `Open the event at position ${position}`, exact: true });
  const drawer = () => page.getByRole("dialog");
  const query = () => new URL(page.url()).searchParams;

  it("shows the end of the log and what is added to it", async () => {
    await page.getByRole("link", { name: "Events" }).click();
    await page.getByRole("heading", { name: "Events" }).waitFor();
    await untilLive(page);
    await page.getByText("Following the end of the log").waitFor();
    await server.submit("scout", HOSTILE);
    await row("ExecutionCompleted").filter({ hasText: "onerror" }).last().waitFor();
    await row("ExecutionCompleted").filter({ hasText: "⟨U+202E⟩" }).last().waitFor();
    await assertAccessible(page, "events");
  });

  it("narrows the log by the address, and back", async () => {
    await page.getByRole("button", { name: "Type", exact: true }).click();
    await page.getByLabel("Find in Type").fill("AgentCreated");
    await page.getByLabel("AgentCreated").check();
    await page.keyboard.press("Escape");
    await row("ExecutionCompleted").first().waitFor({ state: "detached" });
    await row("AgentCreated").nth(1).waitFor();
    assert.equal(await row("AgentCreated").count(), 2);
    assert.equal(query().get("type"), "AgentCreated");
    await page.reload();
    await row("AgentCreated").nth(1).waitFor();
    assert.equal(await row("AgentCreated").count(), 2);
    await row("AgentCreated").getByRole("link", { name: "agent scout" }).click();
    await row("AgentStarted").waitFor();
    assert.equal(query().get("stream"), "agent:scout");
    await page.goto(`${server.url}/events?type=AgentDeleted`);
    await page.getByText("No events match").waitFor();
    await assertAccessible(page, "events-nothing-fits");
    await page.getByRole("button", { name: "Clear the filter", exact: true }).click();
    await row("ExecutionCompleted").first().waitFor();
  });

  it("opens an event with its body, its causes and its effects", async () => {
    await page.goto(`${server.url}/events?type=ExecutionStarted`);
    await row("ExecutionStarted").first().getByText("ExecutionStarted").click();
    await drawer().getByText('"claude_session_id"').waitFor();
    const tree = drawer().getByRole("region", { name: "Causes and effects" });
    await tree.getByText("ExecutionRequested").waitFor();
    await assertAccessible(page, "event");
    await tree.getByText("ExecutionRequested").click();
    await drawer().getByText('"message"').waitFor();
    const position = Number(query().get("at"));
    await page.keyboard.press("]");
    await drawer()
      .getByText(`Event ${position + 1}`, { exact: true })
      .waitFor();
    await page.keyboard.press("Escape");
    await drawer().waitFor({ state: "detached" });
    assert.equal(query().get("at"), null);
    await page.goto(`${server.url}/events?at=${position}`);
    await drawer().getByRole("link", { name: "Open the execution" }).click();
    await page.waitForURL(/\/executions\/[0-9a-f-]{36}/);
  });

  it("shows what agents wrote as text", async () => {
    await page.goto(`${server.url}/events?type=ExecutionCompleted`);
    await row("onerror").getByText("ExecutionCompleted").click();
    await drawer().getByText("<img src=x onerror=alert(1)>").first().waitFor();
    await drawer().getByText("⟨U+202E⟩").first().waitFor();
    assert.equal(await page.locator("img").count(), 0);
    await page.keyboard.press("Escape");
  });

  it("goes to a position, on from there in both directions, and back to the end", async () => {
    await page.goto(`${server.url}/events`);
    await page.getByLabel("Go to position").fill("5");
    await page.keyboard.press("Enter");
    await page.waitForURL(/after=4/);
    await at(5).waitFor();
    await at(1).waitFor({ state: "attached" });
    await page.goto(`${server.url}/events?after=999999`);
    await page.getByText("Nothing from position 1,000,000 on").waitFor();
    await page.goto(`${server.url}/events?at=999999`);
    await drawer().getByRole("alert").waitFor();
    await assertAccessible(page, "event-missing");
  });

  it("reads a long log backwards, and stays where the reader is while it grows", async () => {
    for (let run = 0; run < 12; run += 1) {
      const calls = Array.from({ length: 20 }, (_, n) => `tool Read {"n": ${n}} => ok`).join("\n");
      await server.submit("scribe", `#!demo\n${calls}\nresult success 0.01`);
    }
    await server.untilIdle();
    await page.goto(`${server.url}/events`);
    await page.getByText("Following the end of the log").waitFor();
    const scroller = page.getByRole("grid").locator("..");
    for (let tries = 0; (await at(1).count()) === 0; tries += 1) {
      assert.ok(tries < 100, "the beginning of the log is not reached");
      await scroller.evaluate((element) => element.scrollTo(0, 0));
      await page.waitForTimeout(50);
    }
    await page.getByText("Not at the end").waitFor();
    await server.submit("scout", "#!demo\nsay Seen from above\nresult success 0.01");
    await page.getByRole("button", { name: /\d+ new/ }).waitFor();
    assert.equal(await at(1).count(), 1);
    await page.keyboard.press("f");
    await row("Seen from above").first().waitFor();
  });

  it("exports what the filter leaves, one event a line", async () => {
    await page.goto(`${server.url}/events?type=AgentCreated`);
    await page.getByRole("button", { name: "Export the log" }).click();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("menuitem", { name: /NDJSON/ }).click(),
    ]);
    assert.equal(download.suggestedFilename(), "events.ndjson");
    const lines = (await text(await download.createReadStream())).trim().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).type),
      ["AgentCreated", "AgentCreated"],
    );
  });

  it("is of use on a phone", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    // What else happens meanwhile would push the row out of sight.
    await page.goto(`${server.url}/events?type=ExecutionCompleted`);
    await row("ExecutionCompleted").last().waitFor();
    await assertFits(page);
    await assertAccessible(page, "events-phone");
    await row("ExecutionCompleted").last().getByText("ExecutionCompleted").click();
    await drawer().getByText("Causes and effects").waitFor();
    await assertAccessible(page, "event-phone");
  });
});

async function text(/** @type {AsyncIterable<Buffer>} */ stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}
