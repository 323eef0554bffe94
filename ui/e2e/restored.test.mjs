// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

describe("a page of a server that goes back to a backup", { timeout: 60_000 }, async () => {
  const { server, page } = await stage({ isDemo: false });

  const row = (/** @type {string} */ text) => page.getByRole("row").filter({ hasText: text });
  const create = (/** @type {string} */ name) =>
    server.call("POST", "/api/agents?start=false", { name, runtime: "demo" });

  it("forgets what has not happened any more, and goes on from there", async () => {
    await create("kept");
    await server.backUp();
    await page.goto(`${server.url}/agents`);
    await untilLive(page);
    for (const name of ["lost-1", "lost-2", "lost-3"]) await create(name);
    await row("lost-3").waitFor();
    await server.restore();
    await row("lost-3").waitFor({ state: "detached", timeout: 30_000 });
    await row("kept").waitFor();
    assert.equal(await row("lost-").count(), 0);
    await create("after");
    await row("after").waitFor();
  });
});
