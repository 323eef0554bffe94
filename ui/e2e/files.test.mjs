// @ts-check
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { assertAccessible, assertFits } from "./support/browser.mjs";
import { untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

describe("files, logs and usage of an agent", { timeout: 240_000 }, async () => {
  const { server, page } = await stage({ isDemo: false });
  await server.call("POST", "/api/agents", { name: "keeper", runtime: "demo" });
  await server.call("POST", "/api/agents/keeper/start");

  const button = (/** @type {string} */ name) => page.getByRole("button", { name, exact: true });
  const content = () => page.getByRole("textbox", { name: /^Content of/ });
  const open = async (/** @type {string} */ path) => {
    await page.goto(server.url + path);
    await untilLive(page);
  };
  /** Has the agent do something to its own workspace. */
  const inWorkspace = async (/** @type {string} */ command) => {
    await server.submit("keeper", `#!demo\nexec ${command}\nresult success 0`);
    await server.untilIdle();
  };

  it("shows the workspace as a tree, and a file of it as text", async () => {
    await inWorkspace("mkdir -p notes/old && echo first > notes/old/one.md && echo hi > a.txt");
    await inWorkspace("printf 'a\\000b' > binary && ln -s a.txt link");
    await open("/agents/keeper/files");
    await page.getByText("No file is open").waitFor();
    await assertAccessible(page, "agent-files");
    await button("notes").click();
    await button("old").click();
    await page.getByRole("button", { name: /^one\.md/ }).click();
    await page.getByRole("heading", { name: "notes/old/one.md" }).waitFor();
    assert.equal(await content().inputValue(), "first\n");
    await assertAccessible(page, "agent-files-open");
    await page.getByRole("button", { name: /^binary/ }).click();
    await page.getByText("It is no text").waitFor();
    await open("/agents/keeper/files?file=nowhere.md");
    await page.getByText("is not in the workspace").waitFor();
    await assertAccessible(page, "agent-files-missing");
  });

  it("uploads instructions, edits them, and never over what nobody has seen", async () => {
    await open("/agents/keeper/files");
    const file = { name: "CLAUDE.md", mimeType: "text/markdown", buffer: Buffer.from("be kind\n") };
    await page.locator("input[type=file]").setInputFiles(file);
    await page.getByRole("heading", { name: "CLAUDE.md", exact: true }).waitFor();
    await content().fill("be brief\n");
    await button("Save").click();
    await page.getByText("Runs that start from now on follow it").waitFor();
    await content().fill("mine\n");
    await inWorkspace("echo theirs > CLAUDE.md");
    await button("Save").click();
    await page.getByText("Somebody has changed this file").waitFor();
    await assertAccessible(page, "agent-files-conflict");
    await button("Save mine over it").click();
    await page.getByText("Somebody has changed this file").waitFor({ state: "detached" });
    await page.reload();
    await content().waitFor();
    assert.equal(await content().inputValue(), "mine\n");
    await page.locator("input[type=file]").setInputFiles(file);
    await page.getByText("There is a file of that name").waitFor();
  });

  it("downloads a file, and deletes it by its typed name", async () => {
    await open("/agents/keeper/files?file=a.txt");
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download" }).click();
    const saved = await download;
    assert.equal(saved.suggestedFilename(), "a.txt");
    assert.equal(await readFile(await saved.path(), "utf8"), "hi\n");
    await button("Delete").click();
    await page.getByLabel("Type a.txt to confirm").fill("a.txt");
    await assertAccessible(page, "agent-files-delete");
    await button("Delete file").click();
    await page.getByText("a.txt deleted").waitFor();
    await page.getByText("No file is open").waitFor();
    await page.getByRole("button", { name: /^a\.txt/ }).waitFor({ state: "detached" });
  });

  it("shows logs and what it uses, and says what it takes once it is stopped", async () => {
    await open("/agents/keeper/logs");
    await page.getByRole("heading", { name: /^Agent server/ }).waitFor();
    await assertAccessible(page, "agent-logs");
    await open("/agents/keeper/overview");
    await page.getByText(/% CPU, .* memory/).waitFor();
    await assertAccessible(page, "agent-usage");
    await page.setViewportSize({ width: 360, height: 740 });
    for (const path of ["files", "files?file=CLAUDE.md", "logs", "overview"]) {
      await open(`/agents/keeper/${path}`);
      await page.getByText("keeper").first().waitFor();
      await assertFits(page);
      await assertAccessible(page, `agent-${path.replace(/\W/g, "-")}-phone`);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
    await server.call("POST", "/api/agents/keeper/stop");
    await open("/agents/keeper/files");
    await page.getByText("keeper is stopped").waitFor();
    await assertAccessible(page, "agent-files-stopped");
    await button("Start it").click();
    await page.getByText("No file is open").waitFor();
  });
});
