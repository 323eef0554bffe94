// @ts-check
import { setUp, untilLive } from "../../e2e/support/people.mjs";
import { Server } from "../../e2e/support/server.mjs";
import { percentile } from "./percentile.mjs";

const GOAL_MS = 300;

/** How many runs are watched, each with two events that change a row of the list. */
const RUNS = 60;

/** The number of the first run. */
const FIRST = 100;

/** How many lines are watched in a log. */
const LINES = 120;

/**
 * How long it takes from an event to the pixel: from `recorded_at`, which is cut to milliseconds, to
 * the frame after the one that has the row; for a line of a log from `at`, when it was read.
 *
 * @param {import("../../e2e/support/browser.mjs").Browser} browser
 */
export async function measureLatency(browser) {
  const server = await Server.start();
  try {
    const page = await (await browser.context()).newPage();
    await setUp(page, server);
    return [
      row("event → pixel, a row of the executions", await latenciesOfRows(page, server)),
      row("line → pixel, a raw log", await latenciesOfLines(page, server)),
    ];
  } finally {
    await server.remove();
  }
}

function row(/** @type {string} */ name, /** @type {number[]} */ latencies) {
  const [p50, p95] = [50, 95].map((percent) => percentile(latencies, percent));
  return {
    what: `${name}, p95 of ${latencies.length}`,
    goal: `${GOAL_MS} ms`,
    result: `${p95} ms (p50 ${p50} ms)`,
    isMet: (p95 ?? GOAL_MS) < GOAL_MS,
  };
}

async function latenciesOfRows(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {Server} */ server,
) {
  await page.goto(`${server.url}/executions`);
  await untilLive(page);
  await watch(page, "[role=row]", "(Running|Done).*(pixel-\\d+)");
  const ids = new Map();
  for (let run = 0; run < RUNS; run += 1) {
    // No name is the beginning of another one.
    const name = `pixel-${FIRST + run}`;
    ids.set(await server.submit("scout", `#!demo\n# ${name}\nsleep 0.3\nsay ${name}`), name);
    await page.getByRole("row").filter({ hasText: name }).getByText("Done").waitFor();
  }
  const painted = await paintedAt(page);
  const latencies = [];
  for (const [id, name] of ids) {
    const { items } = await server.call("GET", `/api/events?stream=execution:${id}&limit=50`);
    for (const [type, word] of Object.entries({
      ExecutionStarted: "Running",
      ExecutionCompleted: "Done",
    })) {
      const event = items.find((/** @type {{ type: string }} */ item) => item.type === type);
      latencies.push(Number(painted[`${word} ${name}`]) - Date.parse(event.recorded_at));
    }
  }
  return latencies;
}

async function latenciesOfLines(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {Server} */ server,
) {
  const script = Array.from({ length: LINES }, (_, line) => `raw tick-${line}.\\n\nsleep 0.1`);
  const id = await server.submit("scout", `#!demo\nsleep 2\n${script.join("\n")}`);
  await page.goto(`${server.url}/executions/${id}?tab=raw`);
  const log = page.getByRole("log");
  await log.waitFor();
  await watch(page, "[role=log] [data-index]", "(tick-\\d+\\.)");
  await log.getByText(`tick-${LINES - 1}.`).waitFor({ timeout: 60_000 });
  const painted = await paintedAt(page);
  const { entries } = await server.call("GET", `/api/agents/scout/executions/${id}/log?limit=1000`);
  return entries
    .map((/** @type {{ raw?: string, at: string }} */ { raw, at }) => {
      const seenAt = painted[raw?.match(/tick-\d+\./)?.[0] ?? ""];
      return seenAt === undefined ? null : seenAt - Date.parse(at);
    })
    .filter((/** @type {number | null} */ latency) => latency !== null);
}

/** Notes from now on when the page first shows what `pattern` finds in elements of `selector`. */
async function watch(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {string} */ selector,
  /** @type {string} */ pattern,
) {
  await page.evaluate(
    ([selector, pattern]) => {
      const wanted = new RegExp(pattern ?? "", "s");
      const painted = /** @type {Record<string, number>} */ ({});
      Reflect.set(globalThis, "painted", painted);
      const look = () => {
        const fresh = /** @type {string[]} */ ([]);
        for (const element of document.querySelectorAll(selector ?? "")) {
          const found = element.textContent?.match(wanted)?.slice(1).join(" ");
          if (found && !(found in painted)) fresh.push(found);
        }
        if (fresh.length === 0) return;
        requestAnimationFrame(() => {
          for (const name of fresh) painted[name] ??= Date.now();
        });
      };
      const observer = new MutationObserver(look);
      observer.observe(document.body, { subtree: true, childList: true, characterData: true });
    },
    [selector, pattern],
  );
}

/** @returns {Promise<Record<string, number>>} */
const paintedAt = (/** @type {import("playwright-core").Page} */ page) =>
  page.evaluate(() => Reflect.get(globalThis, "painted"));
