import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";

/** What is worth compressing; fonts are compressed by themselves. */
const COMPRESSIBLE = /\.(js|css|html|svg|json)$/;

/**
 * Writes a `.gz` beside every text of the build, so that the server compresses nothing itself.
 *
 * @returns {import("vite").Plugin}
 */
export function precompress() {
  let folder = "";
  return {
    name: "precompress",
    apply: "build",
    configResolved(config) {
      folder = config.build.outDir;
    },
    async closeBundle() {
      const files = await readdir(folder, { recursive: true });
      const texts = files.filter((file) => COMPRESSIBLE.test(file) && !file.endsWith("index.html"));
      await Promise.all(texts.map((file) => compress(join(folder, file))));
    },
  };
}

async function compress(path) {
  const level = constants.Z_BEST_COMPRESSION;
  await writeFile(`${path}.gz`, await promisify(gzip)(await readFile(path), { level }));
}
