// @ts-check
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertAccessible, assertFits, picture } from "./support/browser.mjs";
import { untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

const EDIT = JSON.stringify({
  file_path: "tests/io.rs",
  old_string: "sleep(10);",
  new_string: "wait_for(ready).await;",
});

describe("an execution", { timeout: 240_000 }, async () => {
  // Long enough to look at a stop before it is over.
  const { server, page } = await stage({ env: { TRINITY_GRACE_MS: "60000" } });

  const show = async (/** @type {string} */ id, rest = "") => {
    await page.goto(`${server.url}/executions/${id}${rest}`);
    await page.getByRole("tablist").waitFor();
  };
  const log = () => page.getByRole("log");
  const tab = (/** @type {string} */ name) => page.getByRole("tab", { name }).click();
  const header = () => page.locator("main header");

  it("is watched as it runs, stopped phase by phase, and killed", async () => {
    const id = await server.submit(
      "scout",
      "#!demo\nsay Digging\ntrap INT ignore\nsleep 1\nsay Still digging\nhang",
    );
    await page.goto(`${server.url}/executions`);
    await page.getByRole("row").filter({ hasText: "Digging" }).press("Enter");
    await page.waitForURL(new RegExp(`/executions/${id}$`));
    await log().getByText("Still digging").waitFor();
    await header().getByText("Live").waitFor();
    await assertAccessible(page, "execution-live");

    await page.keyboard.press("s");
    await page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
    const phase = (/** @type {string} */ name) =>
      page.getByRole("listitem").filter({ hasText: name });
    await phase("SIGINT sent").and(page.locator("[aria-current=step]")).waitFor();
    await assertAccessible(page, "execution-stopping");
    await page.getByRole("button", { name: "Kill now" }).click();
    await header().getByText("Cancelled").waitFor();
    await page.getByText("Cancelled by").waitFor();
    assert.equal(await header().getByText("Live").count(), 0);
    await assertAccessible(page, "execution-cancelled");
  });

  it("shows what was said and done, tool calls folded with their answers", async () => {
    const id = await server.submit(
      "scout",
      `#!demo\nsay Looking around\ntool Edit ${EDIT} => done\nexec seq 1 300\nsay Found it\nresult success 0.42`,
    );
    await show(id);
    await log().getByText("Found it").first().waitFor();
    await header().getByText("Done").waitFor();
    assert.equal(await log().getByText("wait_for(ready).await;").count(), 0);
    await log().getByRole("button", { name: /Edit/ }).click();
    await log().getByText("wait_for(ready).await;").waitFor();
    await log().getByRole("button", { name: /Bash/ }).click();
    await log().getByRole("button", { name: "Show all" }).click();
    await log().getByText("300").first().waitFor();
    await assertAccessible(page, "execution-transcript");

    for (const name of ["Timeline", "Raw log", "Input/Output", "Events"]) {
      await tab(name);
      await page.getByRole("tab", { name, selected: true }).waitFor();
      await page
        .getByRole("tabpanel")
        .getByText(/Queue|lines|Options|ExecutionRequested/)
        .first()
        .waitFor();
      await assertAccessible(page, `execution-${name.replace(/\W/g, "-").toLowerCase()}`);
    }
  });

  it("is run again, and compared with the run before", async () => {
    const first = page.url().match(/executions\/([0-9a-f-]{36})/)?.[1];
    await page.getByRole("button", { name: "Rerun" }).click();
    await page.waitForURL(
      (url) => url.pathname.length > 12 && !url.pathname.includes(String(first)),
    );
    await header().getByText("Done").waitFor();
    await page.getByRole("link", { name: "Compare" }).click();
    await page.getByRole("grid", { name: "Runs of the same agent" }).waitFor();
    await assertAccessible(page, "compare-choose");
    await page.getByRole("row").nth(1).press("Enter");
    await page.getByRole("heading", { name: "Tool calls" }).waitFor();
    await page.getByText("No difference").first().waitFor();
    assert.match(page.url(), /compare\?a=[0-9a-f-]{36}&b=[0-9a-f-]{36}$/);
    await assertAccessible(page, "compare");
  });

  it("says why it failed and what to do, and that it waits", async () => {
    const id = await server.submit("scribe", "#!demo\nsay Trying\nresult error_max_turns 0.01");
    await show(id);
    await page.getByText("It used up its turns.").waitFor();
    await assertAccessible(page, "execution-failed");

    const { max_parallel_tasks: slots } = await server.call("GET", "/api/agents/scribe");
    const busy = await Promise.all(
      Array.from({ length: slots }, () => server.submit("scribe", "#!demo\nsay Busy\nhang")),
    );
    const waits = await server.submit("scribe", "#!demo\nsay At last\nresult success 0.01");
    await show(waits);
    await page.getByText("Number 1 in the queue").waitFor();
    await page.getByText("It has not begun yet").waitFor();
    await assertAccessible(page, "execution-queued");

    await page.goto(`${server.url}/executions?agent=scribe&status=running`);
    await page.getByRole("row").filter({ hasText: "Busy" }).first().waitFor();
    await page.getByRole("button", { name: "Stop all" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(`${slots} execution`).waitFor();
    await assertAccessible(page, "executions-stop");
    await dialog.getByRole("button", { name: `Stop ${slots}` }).click();
    await dialog.getByText(`${slots} being stopped`).waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    for (const id of busy) {
      await show(id);
      await header().getByText("Cancelled").waitFor();
    }
    await show(waits);
    await header().getByText("Done").waitFor();
  });

  it("never does what its output says", async () => {
    const tricks = [
      "say <img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>",
      "say left \u202eright\u202c and [a link](javascript:alert(1))",
      "raw \\x1b[31mred\\x1b[0m\\x1b]0;owned\\x07 \\x1b]8;;javascript:alert(1)\\x07bad\\x1b]8;;\\x07 \\x1b]8;;https://example.org/\\x07good\\x1b]8;;\\x07\\n",
      'tool Bash {"command":"<b>echo</b>"} => <b>bold</b>',
    ];
    const id = await server.submit("scout", `#!demo\n${tricks.join("\n")}\nresult success 0.01`);
    await show(id, "?tab=raw");
    await log().getByText("<img src=x").first().waitFor();
    await log().getByText("left ⟨U+202E⟩right⟨U+202C⟩").first().waitFor();
    await log().getByText("<b>bold</b>").waitFor();
    const links = log().getByRole("link").and(page.locator(":not([href^='#seq='])"));
    assert.equal(await links.count(), 1);
    assert.equal(await links.getAttribute("href"), "https://example.org/");
    assert.equal(await links.getAttribute("rel"), "noopener noreferrer");
    assert.equal(await page.locator("[role=log] :is(img, script, b)").count(), 0);
    assert.match(await page.title(), /^say <img src=x/);
    await assertAccessible(page, "execution-hostile");
  });

  it("goes on where it was when the server was away, without a gap and without a repetition", async () => {
    const id = await server.submit(
      "scout",
      "#!demo\nexec sleep 1\nraw one\\n\nsleep 5\nraw two\\n\nsay Over",
    );
    await show(id, "?tab=raw");
    await log().getByText("one", { exact: true }).waitFor();
    await untilLive(page);
    await server.stop();
    await page.getByText("Live updates paused").waitFor();
    await picture(page, "execution-paused");
    await server.startAgain();
    await log().getByText("two", { exact: true }).waitFor({ timeout: 30_000 });
    assert.equal(await log().getByText("one", { exact: true }).count(), 1);
    assert.equal(await log().getByText("two", { exact: true }).count(), 1);
  });

  it("is of use on a phone, and says what is not there", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    const id = await server.submit("scout", "#!demo\nsay A small screen\nresult success 0.01");
    await show(id);
    await log().getByText("A small screen").first().waitFor();
    await assertFits(page);
    await assertAccessible(page, "execution-phone");
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(`${server.url}/executions/01a1ff51-0000-7000-8000-000000000000`);
    await page.getByText("There is no such execution").waitFor();
    await assertAccessible(page, "execution-unknown");
  });

  it("stays when its agent is deleted, and cannot be run again then", async () => {
    const id = await server.submit("scribe", "#!demo\nsay Last words\nresult success 0.01");
    await show(id);
    await header().getByText("Done").waitFor();
    await server.call("DELETE", "/api/agents/scribe");
    await page.getByText("scribe is deleted").waitFor();
    await log().getByText("Last words").first().waitFor();
    await assertAccessible(page, "execution-agent-deleted");
  });
});
