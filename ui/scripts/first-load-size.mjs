// @ts-check
// Prints how much JavaScript a browser loads for each page before it can draw, gzipped, and fails when
// that is more than it may be.
import { FIRST_LOAD_BYTES_MAX, firstLoads } from "./first-load.mjs";

const loads = await firstLoads();
const kB = (/** @type {number} */ bytes) => `${(bytes / 1000).toFixed(1).padStart(6)} kB gzip`;
for (const { name, bytes } of loads) console.log(`first load  ${kB(bytes)}  ${name}`);
console.log(`at most     ${kB(FIRST_LOAD_BYTES_MAX)}`);
process.exit(loads.some(({ bytes }) => bytes > FIRST_LOAD_BYTES_MAX) ? 1 : 0);
