// Prints how much JavaScript a browser loads for each entry point before it can draw, gzipped, and
// fails when that is more than it may be.
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const FIRST_LOAD_BYTES_MAX = 250_000;
const DIST = new URL("../dist/", import.meta.url);

const manifest = JSON.parse(await readFile(new URL(".vite/manifest.json", DIST), "utf8"));

/** Every chunk that must be there before `name` can run. */
function withImports(name, seen = new Set()) {
  if (!seen.has(name)) {
    seen.add(name);
    for (const imported of manifest[name].imports ?? []) withImports(imported, seen);
  }
  return seen;
}

async function gzipBytes(names) {
  const files = [...names]
    .map((name) => manifest[name].file)
    .filter((file) => file.endsWith(".js"));
  const sizes = files.map(
    async (file) => gzipSync(await readFile(new URL(file, DIST)), { level: 9 }).length,
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

const entry = Object.keys(manifest).find((name) => manifest[name].isEntry);
const shared = withImports(entry);
const pages = Object.keys(manifest).filter((name) => /^src\/features\/.*-page\.tsx$/.test(name));
const rows = [["frame", await gzipBytes(shared)]];
for (const page of pages.sort())
  rows.push([page, await gzipBytes(withImports(page, new Set(shared)))]);

let isTooLarge = false;
for (const [name, bytes] of rows) {
  isTooLarge ||= bytes > FIRST_LOAD_BYTES_MAX;
  console.log(`first load  ${(bytes / 1000).toFixed(1).padStart(6)} kB gzip  ${name}`);
}
console.log(`at most     ${(FIRST_LOAD_BYTES_MAX / 1000).toFixed(1).padStart(6)} kB gzip`);
process.exit(isTooLarge ? 1 : 0);
