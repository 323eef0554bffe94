// @ts-check
/**
 * Prints what the pages cost whoever looks at them, beside what they may cost; fails when one costs
 * more. A real server, a real browser, both on this machine:
 *
 *   node scripts/measure.mjs FILL FOLDER
 *
 * FILL is the program that puts executions into the read models of a data directory; FOLDER is where
 * the directory with a million of them is kept, for it takes minutes to make.
 */
import assert from "node:assert/strict";
import { cpus, loadavg } from "node:os";
import { Browser } from "../e2e/support/browser.mjs";
import { FIRST_LOAD_BYTES_MAX, firstLoads } from "./first-load.mjs";
import { measureLatency } from "./measure/latency.mjs";
import { measureAgents, measureExecutions } from "./measure/lists.mjs";
import { measureLogs } from "./measure/logs.mjs";

/** @typedef {{ what: string, goal: string, result: string, isMet: boolean }} Row */

const [fill, folder] = process.argv.slice(2);
assert.ok(fill && folder, "say how to fill a data directory, and where: measure.mjs FILL FOLDER");

const load = () => loadavg()[0]?.toFixed(1);
const before = load();
const browser = await Browser.start();
/** @type {Row[]} */
const rows = (await firstLoads()).map(({ name, bytes }) => ({
  what: `first load, ${name.replace(/^src\/features\/|-page\.tsx$/g, "")}`,
  goal: `${FIRST_LOAD_BYTES_MAX / 1000} kB`,
  result: `${(bytes / 1000).toFixed(1)} kB`,
  isMet: bytes <= FIRST_LOAD_BYTES_MAX,
}));
try {
  rows.push(...(await measureLatency(browser)));
  rows.push(...(await measureLogs(browser)));
  rows.push(...(await measureAgents(browser)));
  rows.push(...(await measureExecutions(browser, fill, folder)));
  browser.assertQuiet();
} finally {
  await browser.close();
}

console.log(`\n${cpus().length} cores; load of the machine ${before} before, ${load()} after\n`);
console.log("| what | goal | result |\n|---|---|---|");
for (const { what, goal, result, isMet } of rows)
  console.log(`| ${what} | ${goal} | ${result}${isMet ? "" : " – missed"} |`);
process.exit(rows.every(({ isMet }) => isMet) ? 0 : 1);
