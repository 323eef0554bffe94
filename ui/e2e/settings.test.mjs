// @ts-check
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { assertAccessible, assertFits } from "./support/browser.mjs";
import { logIn, PASSWORD, untilLive } from "./support/people.mjs";
import { stage } from "./support/stage.mjs";

/** A value that must stand nowhere. */
const SECRET = "a-value-that-nobody-reads-41c7";

/** The smallest picture. */
const PICTURE = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M/wHwAEBgIApD5fRAAAAABJRU5ErkJggg==",
  "base64",
);

const FILES = {
  "templates/writer/template.yaml":
    "display_name: Writer\ndescription: Writes notes in plain words.\nruntime: demo\n" +
    "max_parallel_tasks: 2\ntags: [words]\nskills: [brief]\n" +
    "credentials:\n  API_KEY: for the archive of notes\nuse_cases: [Sum up the week]\n",
  "templates/writer/CLAUDE.md": "Write plain words.\n",
  "templates/torn/template.yaml": "runtime: nothing\n",
  "skills/brief/SKILL.md": "---\ndescription: Answers in one sentence.\n---\nBe brief.\n",
  "skills/table/SKILL.md": "---\ndescription: Draws tables.\n---\nDraw <b>tables</b>.\n",
  "skills/torn/SKILL.md": Buffer.from([0xff, 0xfe]),
};

/** Templates and skills in a folder that goes with the suite. */
async function library() {
  const folder = await mkdtemp(join(tmpdir(), "trinity-ui-library-"));
  for (const [path, text] of Object.entries(FILES)) {
    await mkdir(join(folder, path, ".."), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  after(() => rm(folder, { recursive: true }));
  return {
    TRINITY_TEMPLATES_DIR: join(folder, "templates"),
    TRINITY_SKILLS_DIR: join(folder, "skills"),
  };
}

describe("the settings of an agent", { timeout: 180_000 }, async () => {
  const env = { ...(await library()), TRINITY_SYSTEM_AGENT: "true" };
  const { server, browser, page } = await stage({ isDemo: false, env });
  await server.call("POST", "/api/agents", { name: "keeper", runtime: "demo" });
  await server.call("POST", "/api/agents/keeper/start");

  const button = (/** @type {string} */ name) => page.getByRole("button", { name, exact: true });
  const row = (/** @type {string} */ text) => page.getByRole("listitem").filter({ hasText: text });
  const dialog = (/** @type {string} */ name) => page.getByRole("dialog", { name });
  const part = (/** @type {string} */ name) =>
    page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name });
  const open = async (/** @type {string} */ path, on = page) => {
    await on.goto(server.url + path);
    await untilLive(on);
  };

  it("gives a running agent its credentials, and shows the value of none", async () => {
    await open("/agents/keeper/settings");
    await part("Credentials").click();
    await page.getByText("There are no credentials").waitFor();
    await assertAccessible(page, "settings-credentials-empty");
    await button("Add").click();
    const add = dialog("Add a credential");
    await add.getByLabel("Name").fill("9 lives");
    await add.getByLabel("Value", { exact: true }).fill(SECRET);
    await add.getByRole("button", { name: "Add" }).click();
    await add.getByText("a credential is named like").waitFor();
    await assertAccessible(page, "settings-credentials-refused");
    await add.getByLabel("Name").fill("SERVICE_TOKEN");
    await page.keyboard.press("Enter");
    await row("SERVICE_TOKEN").getByText("In force").waitFor();
    await row("SERVICE_TOKEN").getByText("Variable").waitFor();
    assert.equal((await page.content()).includes(SECRET), false);
    assert.equal(await page.getByLabel("Value", { exact: true }).count(), 0);
    const said = await server.submit("keeper", "#!demo\nexec printenv SERVICE_TOKEN | wc -c");
    await server.untilIdle();
    const log = await server.call("GET", `/api/agents/keeper/executions/${said}/log`);
    // With the end of its line.
    assert.match(JSON.stringify(log), new RegExp(`\\b${SECRET.length + 1}\\b`));
  });

  it("sets files and many variables, replaces one, and removes one by its typed name", async () => {
    await button("Add").click();
    const add = dialog("Add a credential");
    const file = { name: ".netrc", mimeType: "text/plain", buffer: Buffer.from(`${SECRET}\n`) };
    await add.locator("input[type=file]").setInputFiles(file);
    await add.getByRole("button", { name: "Add" }).click();
    await row(".netrc").getByText("In force").waitFor();
    await row(".netrc").getByText("File").waitFor();
    await button("Paste .env").click();
    const paste = dialog("Paste variables");
    await paste.getByLabel("Lines of .env").fill(`FIRST=${SECRET}\nSECOND=x`);
    await assertAccessible(page, "settings-credentials-paste");
    await paste.getByRole("button", { name: "Set them" }).click();
    await row("FIRST").waitFor();
    await page.getByText("Too short to be taken out of what runs print").waitFor();
    await button("Replace SERVICE_TOKEN").click();
    await dialog("Replace SERVICE_TOKEN").getByLabel("Value", { exact: true }).fill("another-one");
    await page.keyboard.press("Enter");
    await dialog("Replace SERVICE_TOKEN").waitFor({ state: "detached" });
    await button("Give again").click();
    await page.getByText("Every credential is in force").waitFor();
    await button("Remove FIRST").click();
    await dialog("Remove FIRST").getByLabel("Type FIRST to confirm").fill("FIRST");
    await dialog("Remove FIRST").getByRole("button", { name: "Remove" }).click();
    await row("FIRST").waitFor({ state: "detached" });
    await assertAccessible(page, "settings-credentials");
    await page.reload();
    await row(".netrc").getByText("In force").waitFor();
    assert.equal((await page.content()).includes(SECRET), false);
  });

  it("attaches a skill at once, shows what it says, and why one cannot be used", async () => {
    await part("Skills").click();
    await page.getByRole("checkbox", { name: "brief" }).click();
    await page.getByRole("heading", { name: "Skills, 1 attached" }).waitFor();
    await page.getByText("Answers in one sentence.").waitFor();
    const { skills } = await server.call("GET", "/api/agents/keeper/skills");
    assert.deepEqual(skills, ["brief"]);
    await button("Read table").click();
    await page.getByText("Draw <b>tables</b>.").waitFor();
    await page.getByText("is no UTF-8 text").waitFor();
    assert.equal(await page.getByRole("checkbox", { name: "torn" }).isDisabled(), true);
    await assertAccessible(page, "settings-skills");
    await page.reload();
    assert.equal(await page.getByRole("checkbox", { name: "brief" }).isChecked(), true);
    await page.getByRole("checkbox", { name: "brief" }).click();
    await page.getByRole("heading", { name: "Skills, 0 attached" }).waitFor();
  });

  it("says at the field what a host cannot be held to", async () => {
    await part("Container").click();
    const memory = page.getByRole("form", { name: "Memory" });
    await memory.getByLabel("Memory").fill("2g");
    await memory.getByRole("button", { name: "Save" }).click();
    await memory.getByText("agents that live as processes of this machine cannot").waitFor();
    await button("Allow…").click();
    await dialog("Let keeper become root").getByRole("button", { name: "Allow" }).click();
    await dialog("Let keeper become root").getByText("live as processes").waitFor();
    await assertAccessible(page, "settings-capabilities");
    await page.keyboard.press("Escape");
    await assertAccessible(page, "settings-container");
  });

  it("bounds tools, and finds agents by their tags", async () => {
    await part("General").click();
    const set = async (/** @type {string} */ name, /** @type {string[]} */ words) => {
      const form = page.getByRole("form", { name });
      for (const word of words) {
        await form.getByLabel(name).fill(word);
        await page.keyboard.press("Enter");
      }
      await form.getByRole("button", { name: "Save" }).click();
      return form;
    };
    await (await set("Tools", ["not a tool"])).getByText(/tool/).last().waitFor();
    await set("Tags", ["night", "web"]);
    await page.getByText("Tags saved").waitFor();
    await assertAccessible(page, "settings-general");
    await page.locator("main header").getByRole("link", { name: "night" }).click();
    await page.waitForURL(/agents\?tag=night/);
    await page.getByText("1 of 2").waitFor();
    await page.getByRole("row").filter({ hasText: "keeper" }).getByText("web").waitFor();
    assert.equal(await page.getByRole("row").filter({ hasText: "trinity-system" }).count(), 0);
    await assertAccessible(page, "agents-tag");
  });

  it("has a picture that stands beside its name", async () => {
    await open("/agents/keeper/settings");
    const image = page.locator("main header img");
    assert.equal(await image.count(), 0);
    const choose = page.locator("input[type=file]");
    await choose.setInputFiles({ name: "a.png", mimeType: "image/png", buffer: Buffer.from("no") });
    await page.getByText("is no PNG, JPEG, GIF or WebP image").waitFor();
    await choose.setInputFiles({ name: "a.png", mimeType: "image/png", buffer: PICTURE });
    await page.getByText("Picture saved").waitFor();
    await image.waitFor();
    assert.equal(
      await image.evaluate((/** @type {HTMLImageElement} */ { naturalWidth }) => naturalWidth),
      1,
    );
    await button("Remove").click();
    await image.waitFor({ state: "detached" });
  });

  it("takes MCP servers as their configuration, once their credentials are there", async () => {
    await part("MCP servers").click();
    const text = page.getByLabel("mcpServers");
    const config = (/** @type {string} */ token) =>
      JSON.stringify({ mcpServers: { notes: { command: "notes", env: { TOKEN: token } } } });
    await text.fill("{");
    await page.getByText("It is no JSON").waitFor();
    await text.fill(config(`\${NOBODY_HAS}`));
    await button("Save").click();
    await page
      .getByText(/NOBODY_HAS/)
      .last()
      .waitFor();
    await assertAccessible(page, "settings-mcp-refused");
    await text.fill(config(`\${SERVICE_TOKEN}`));
    await button("Save").click();
    await row("notes").waitFor();
    await server.call("DELETE", "/api/agents/keeper/credentials/SERVICE_TOKEN");
    await page.getByText("Runs cannot start without").waitFor();
    await assertAccessible(page, "settings-mcp");
    await text.fill("");
    await button("Save").click();
    await page.getByText("It has none").waitFor();
  });

  it("connects the workspace to a repository, shows what differs, and commits it", async () => {
    await open("/agents/keeper/settings/git");
    const address = page.getByRole("form", { name: "Address" });
    await address.getByLabel("Address").fill("https://me:secret@127.0.0.1/notes.git");
    await address.getByRole("button", { name: "Save" }).click();
    await address.getByText("no credentials belong into an address").waitFor();
    // Nobody listens there.
    await address.getByLabel("Address").fill("http://127.0.0.1:9/notes.git");
    await address.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "Workspace" }).waitFor();
    const commands = ["git init -q -b main", "echo one > notes.md"];
    await server.submit("keeper", `#!demo\n${commands.map((line) => `exec ${line}\n`).join("")}`);
    await server.untilIdle();
    await button("Refresh").click();
    await row("notes.md").getByText("new").waitFor();
    await page.getByText("Nothing was committed yet").waitFor();
    await assertAccessible(page, "settings-git");
    await button("Commit…").click();
    await dialog("Commit all changes").getByLabel("Message").fill("Begin the notes");
    await dialog("Commit all changes").getByRole("button", { name: "Commit" }).click();
    await page.getByText("Nothing differs from the last commit.").waitFor();
    await button("Push").click();
    await page
      .locator("main [role=alert] p")
      .getByText(/127\.0\.0\.1/)
      .waitFor();
    await assertAccessible(page, "settings-git-refused");
    await button("Remove repository").click();
    await page.getByText("Repository removed").waitFor();
    await page.getByRole("heading", { name: "Workspace" }).waitFor({ state: "detached" });
    assert.equal(await address.getByLabel("Address").inputValue(), "");
  });

  it("makes the workspace read-only but for a folder, and says what sees to it", async () => {
    await open("/agents/keeper/settings/read-only");
    const form = (/** @type {string} */ name) => page.getByRole("form", { name });
    const add = async (/** @type {string} */ name, /** @type {string} */ pattern) => {
      await form(name).getByLabel(name).fill(pattern);
      await page.keyboard.press("Enter");
      await form(name).getByRole("button", { name: "Save" }).click();
      await page.getByText(`${name} saved`).waitFor();
    };
    await add("Allowed folders", "out/");
    await add("Blocked patterns", "out/*.lock");
    const isOn = form("Read-only workspace");
    await isOn.getByRole("checkbox").click();
    await isOn.getByRole("button", { name: "Save" }).click();
    await page.getByText("Every run is held to it by the kernel").waitFor();
    await row("out/*.lock").getByText("Told to the CLI alone").waitFor();
    await assertAccessible(page, "settings-read-only");
    await isOn.getByRole("checkbox").click();
    await isOn.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "What sees to it" }).waitFor({ state: "detached" });
  });

  it("makes an agent from a template, and asks for the credentials that it wants", async () => {
    await open("/agents");
    await button("Create agent").click();
    const create = dialog("Create an agent");
    await create.getByLabel("Name").fill("poet");
    await create.getByLabel("Template").selectOption("Writer");
    await create.getByText("Writes notes in plain words.").waitFor();
    await create.getByText("for the archive of notes").waitFor();
    assert.equal(await create.getByLabel("Runtime").inputValue(), "demo");
    assert.equal(await create.getByLabel("Runs at once").inputValue(), "2");
    await create.getByText("1 template cannot be used").waitFor();
    await assertAccessible(page, "agents-create-template");
    await create.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { level: 1, name: "poet" }).waitFor();
    await row("API_KEY").getByText("Missing").waitFor();
    await row("API_KEY").getByRole("button", { name: "Set" }).click();
    await dialog("Add a credential").getByLabel("Value", { exact: true }).fill(SECRET);
    await page.keyboard.press("Enter");
    await row("API_KEY").getByText("In force").waitFor();
    await part("Skills").click();
    await page.getByRole("heading", { name: "Skills, 1 attached" }).waitFor();
    const file = await server.call("GET", "/api/agents/poet/files?path=CLAUDE.md");
    assert.equal(file.file.kind, "file");
  });

  it("is shared with somebody who may look and work, and taken back", async () => {
    await server.call("POST", "/api/users", { username: "ana", password: PASSWORD });
    await open("/agents/keeper/settings/sharing");
    await page.getByText("It is shared with nobody").waitFor();
    await page.getByLabel("Share with").fill("bob");
    await button("Share").click();
    await page.getByText("there is no user `bob`").waitFor();
    await page.getByLabel("Share with").fill("Ana");
    await button("Share").click();
    await row("ana").waitFor();
    await assertAccessible(page, "settings-sharing");

    const theirs = await (await browser.context()).newPage();
    await theirs.goto(`${server.url}/agents/keeper/settings`);
    await logIn(theirs, "ana");
    await theirs.getByText("You can look at this").waitFor();
    assert.equal(await theirs.getByRole("spinbutton", { name: "Runs at once" }).isDisabled(), true);
    assert.equal(await theirs.getByRole("link", { name: "Sharing" }).count(), 0);
    await assertAccessible(theirs, "settings-looking");
    await open("/agents/keeper/settings/credentials", theirs);
    await theirs.getByText(".netrc").waitFor();
    assert.equal(await theirs.getByRole("button", { name: "Add" }).count(), 0);
    await open("/agents/keeper/settings/sharing", theirs);
    await theirs.getByText("Not for you to see").waitFor();

    await button("Stop sharing with ana").click();
    await page.getByText("It is shared with nobody").waitFor();
    await theirs.reload();
    await theirs.getByText("There is no agent “keeper”").waitFor();
    await theirs.context().close();
  });

  it("builds the server’s own agent anew once its name is typed", async () => {
    await open("/agents/trinity-system/settings");
    await button("Reinitialize").click();
    const ask = dialog("Reinitialize trinity-system");
    await ask.getByLabel("Type trinity-system to confirm").fill("trinity-system");
    await assertAccessible(page, "settings-reinitialize");
    await ask.getByRole("button", { name: "Reinitialize" }).click();
    await page.getByText("trinity-system is built anew").waitFor();
  });

  it("is of use on a phone", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    for (const name of [
      "",
      "/credentials",
      "/skills",
      "/mcp-servers",
      "/git",
      "/read-only",
      "/container",
      "/sharing",
    ]) {
      await open(`/agents/poet/settings${name}`);
      await page.getByRole("navigation", { name: "Settings" }).waitFor();
      await page.getByRole("heading", { level: 2 }).first().waitFor();
      await assertFits(page);
      await assertAccessible(page, `settings${name.replace("/", "-")}-phone`);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  });
});
