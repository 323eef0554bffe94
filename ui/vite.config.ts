import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { precompress } from "./scripts/precompress.mjs";

/** The server that `npm run dev` passes requests for the API to. */
const server = process.env.TRINITY_URL ?? "http://127.0.0.1:8000";

/** Modules that some pages share are put together until they are so large. */
const SHARED_BYTES_MIN = 24_000;

/** The name of a file of the build, without those of all pages that share it. */
const shortName = (name: string) => name.replace(/~.*|\.\w+$/g, "");

export default defineConfig({
  plugins: [react(), precompress()],
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  build: {
    // Nothing becomes a `data:` URL: the page's policy allows files of this server alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    manifest: true,
    chunkSizeWarningLimit: 800,
    rolldownOptions: {
      output: {
        chunkFileNames: ({ name }) => `assets/${shortName(name)}-[hash].js`,
        assetFileNames: ({ names: [name = ""] }) => `assets/${shortName(name)}-[hash][extname]`,
        codeSplitting: {
          // Few files: a browser that has none of them asks for six at a time.
          groups: [
            { name: "frame", tags: ["$initial"], priority: 1 },
            {
              name: "shared",
              minShareCount: 2,
              entriesAware: true,
              entriesAwareMergeThreshold: SHARED_BYTES_MIN,
            },
          ],
        },
      },
    },
  },
  server: {
    port: 5173,
    strictPort: true,
    // The origin stays that of the browser; the server compares it with the host.
    proxy: { "/api": { target: server, changeOrigin: false } },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test/setup.ts"],
    restoreMocks: true,
  },
});
