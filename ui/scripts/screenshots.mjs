// @ts-check
/**
 * Takes the pictures of the README: pages of a real server with a demo fleet of its own, in both
 * themes.
 *
 *   node scripts/screenshots.mjs FOLDER
 *
 * What the fleet does is always the same; when it does it, and which ids that has, is not.
 */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Browser } from "../e2e/support/browser.mjs";
import { setUp, untilLive } from "../e2e/support/people.mjs";
import { Server } from "../e2e/support/server.mjs";
import { until } from "../e2e/support/until.mjs";

/** What is shown of the whole: as much as a laptop has, sharp on its screen. */
const LOOK = { viewport: { width: 1280, height: 900 }, deviceScaleFactor: 2 };

/** An agent that is not started. */
const STOPPED = "night-watch";

/** The agents beside those of the demo fleet. */
const AGENTS = [
  { name: "coder", runtime: "demo", max_parallel_tasks: 3 },
  { name: "planner", runtime: "demo", max_parallel_tasks: 2 },
  { name: "reviewer", runtime: "demo", max_parallel_tasks: 4 },
  { name: STOPPED, runtime: "demo" },
];

/** What has ended: tasks in plain words, and two that fail in ways of their own. */
const ENDED = [
  { agent: "planner", message: "Plan the move of the billing service to the new queue." },
  { agent: "reviewer", message: "Review the change to the retry policy." },
  { agent: "coder", message: "Bump the dependencies and run the tests." },
  { agent: "coder", message: "Remove the flag for the old importer." },
  { agent: "reviewer", message: "Look for missing error handling in src/io." },
  { agent: "reviewer", message: "Compare the two proposals for the cache." },
  script("planner", "Estimate the work on the export of invoices", [
    "say I read the open questions first.",
    "result error_max_turns 0.24",
  ]),
  script("coder", "Translate the onboarding mails", ["stderr cannot read locale/fr.po", "exit 3"]),
];

/** The run whose page is shown; it goes on. */
const SHOWN = script("coder", "Fix the flaky test in tests/io.rs", [
  "say I look at what fails first.",
  'tool Bash {"command": "cargo test io::", "description": "Run the failing test"} => ' +
    "test io::reads_what_was_written ... FAILED",
  "sleep 1",
  'tool Read {"file_path": "tests/io.rs"} => sleep(Duration::from_millis(10)).await;',
  "say The test waits for a fixed time. It should wait until the file is there.",
  'tool Edit {"file_path": "tests/io.rs", ' +
    '"old_string": "    sleep(Duration::from_millis(10)).await;\\n    let text = read(&path)?;", ' +
    '"new_string": "    wait_for(|| path.exists()).await?;\\n    let text = read(&path)?;"} => ' +
    "The file has been updated.",
  "sleep 1",
  'tool Bash {"command": "cargo test io:: -- --test-threads 8", ' +
    '"description": "Run it again, many times"} => test result: ok. 64 passed; 0 failed',
  "say It passes. Now I run the whole suite, which takes a while.",
  "hang",
]);

/** What goes on besides. */
const RUNNING = [
  script("coder", "Refactor the parser of addresses", ["hang"]),
  script("coder", "Write the tests of the importer", ["hang"]),
  script("coder", "Document the settings", ["hang"]),
  script("reviewer", "Review the fix of the flaky test", ["hang"]),
];

/** A task that does exactly this. */
function script(
  /** @type {string} */ agent,
  /** @type {string} */ title,
  /** @type {string[]} */ lines,
) {
  return { agent, message: ["#!demo", `# ${title}`, ...lines].join("\n") };
}

const folder = process.argv[2];
assert.ok(folder, "say into which folder: node scripts/screenshots.mjs FOLDER");
await mkdir(folder, { recursive: true });

const server = await Server.start();
const browser = await Browser.start();
try {
  const shown = await makeFleet();
  const session = await (await browser.context()).newPage();
  await setUp(session, server);
  const storageState = await session.context().storageState();
  const pages = [
    { name: "dashboard", path: "/", shows: "Exit code" },
    { name: "executions", path: "/executions", shows: "Refactor the parser" },
    { name: "execution", path: `/executions/${shown}`, shows: "It passes", opens: "Edit" },
    { name: "agent", path: "/agents/coder/overview", shows: "coder", charts: 4 },
  ];
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    const context = await browser.context({ ...LOOK, storageState, colorScheme });
    for (const { name, path, shows, opens, charts } of pages) {
      const page = await context.newPage();
      await page.emulateMedia({ reducedMotion: "reduce" });
      await page.goto(server.url + path);
      await untilLive(page);
      await page.getByText(new RegExp(shows)).first().waitFor();
      if (opens) await page.getByRole("button", { name: new RegExp(`^${opens}`) }).click();
      if (charts) await page.waitForFunction(areDrawn, charts);
      await page.evaluate(() => document.fonts.ready.then(() => {}));
      const file = join(folder, `${name}-${colorScheme}.png`);
      await page.screenshot({ path: file, animations: "disabled" });
      await page.close();
    }
    await context.close();
  }
  browser.assertQuiet();
} finally {
  await browser.close();
  await server.remove();
}

/** Makes the fleet and gives it work; answers with the id of the run that is shown. */
async function makeFleet() {
  for (const agent of AGENTS) {
    await server.call("POST", `/api/agents?start=${agent.name !== STOPPED}`, agent);
  }
  await until("every agent is started", async () => {
    const agents = await server.call("GET", "/api/agents");
    return agents.every(
      (/** @type {{name: string, phase: string}} */ { name, phase }) =>
        phase === (name === STOPPED ? "stopped" : "running"),
    );
  });
  for (const { agent, message } of ENDED) await server.submit(agent, message);
  await server.untilIdle();
  const shown = await server.submit(SHOWN.agent, SHOWN.message);
  await until("it runs", async () => {
    const { status } = await server.call("GET", `/api/executions/${shown}`);
    return status === "running";
  });
  for (const { agent, message } of RUNNING) await server.submit(agent, message);
  return shown;
}

/** Runs in the page: whether so many charts are there, each with something drawn on it. */
function areDrawn(/** @type {number} */ count) {
  const charts = [...document.querySelectorAll("canvas")];
  const hasPixels = (/** @type {HTMLCanvasElement} */ chart) => {
    const { width, height } = chart;
    if (width === 0 || height === 0) return false;
    const pixels = chart.getContext("2d")?.getImageData(0, 0, width, height).data;
    return pixels?.some((value) => value > 0);
  };
  return charts.length === count && charts.every(hasPixels);
}
