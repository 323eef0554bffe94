// @ts-check
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

/** How much JavaScript a page may need before it can be drawn, gzipped. */
export const FIRST_LOAD_BYTES_MAX = 250_000;

/** Pages that are shown inside of another one, which is loaded with them. */
const INSIDE = [
  { pages: /^src\/features\/agents\/\w+\//, outer: "src/features/agents/agent-page.tsx" },
  {
    pages: /^src\/features\/agents\/settings\/\w+\//,
    outer: "src/features/agents/settings/settings-page.tsx",
  },
];

const DIST = new URL("../dist/", import.meta.url);

/**
 * How much JavaScript a browser loads for each page before it can draw, gzipped; the frame first,
 * which every page needs.
 *
 * @returns {Promise<{ name: string, bytes: number }[]>}
 */
export async function firstLoads() {
  /** @type {Record<string, { file: string, isEntry?: boolean, imports?: string[] }>} */
  const manifest = JSON.parse(await readFile(new URL(".vite/manifest.json", DIST), "utf8"));
  const names = Object.keys(manifest);
  const entry = names.find((name) => manifest[name]?.isEntry) ?? "";
  const pages = names.filter((name) => /^src\/features\/.*-page\.tsx$/.test(name)).sort();
  const loads = [{ name: "frame", bytes: await gzipBytes(manifest, withImports(manifest, entry)) }];
  for (const page of pages) {
    const outer = INSIDE.filter(({ pages }) => pages.test(page)).map((inside) => inside.outer);
    const chunks = [entry, ...outer, page].reduce(
      (seen, name) => withImports(manifest, name, seen),
      /** @type {Set<string>} */ (new Set()),
    );
    loads.push({ name: page, bytes: await gzipBytes(manifest, chunks) });
  }
  return loads;
}

/**
 * Every chunk that must be there before `name` can run.
 *
 * @param {Record<string, { imports?: string[] }>} manifest
 * @param {string} name
 * @param {Set<string>} seen
 */
function withImports(manifest, name, seen = new Set()) {
  if (!seen.has(name)) {
    seen.add(name);
    for (const imported of manifest[name]?.imports ?? []) withImports(manifest, imported, seen);
  }
  return seen;
}

/**
 * @param {Record<string, { file: string }>} manifest
 * @param {Iterable<string>} names
 */
async function gzipBytes(manifest, names) {
  const files = [...names].map((name) => manifest[name]?.file ?? "");
  const sizes = files
    .filter((file) => file.endsWith(".js"))
    .map(async (file) => gzipSync(await readFile(new URL(file, DIST)), { level: 9 }).length);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
