// @ts-check
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARTIFACTS = process.env.TRINITY_UI_ARTIFACTS ?? "../target/ui-artifacts";

/** A name of this machine that browsers take for another one: no TLS, no privileges of localhost. */
export const OTHER_MACHINE = "trinity.test";

/** How long anything is waited for: pages answer at once, but this machine may be busy. */
const WAIT_MS_MAX = 15_000;

/** What the browser says about requests that a test has made fail. */
const EXPECTED = /Failed to load resource|net::ERR_/;

/** A browser that remembers everything that went wrong on its pages. */
export class Browser {
  /** @type {import("playwright-core").Browser} */
  #browser;
  /** @type {string[]} */
  #complaints = [];

  constructor(/** @type {import("playwright-core").Browser} */ browser) {
    this.#browser = browser;
  }

  /** Starts one. */
  static async start() {
    // The sandbox of Chromium needs a user other than root; the pages are ours.
    const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    const args = [...sandbox, `--host-resolver-rules=MAP ${OTHER_MACHINE} 127.0.0.1`];
    const executablePath = process.env.TRINITY_CHROMIUM ?? "/usr/bin/chromium";
    return new Browser(await chromium.launch({ executablePath, args }));
  }

  /** A browser of somebody else: without cookies, in UTC. */
  async context(/** @type {import("playwright-core").BrowserContextOptions} */ options = {}) {
    const viewport = { width: 1280, height: 800 };
    const context = await this.#browser.newContext({ viewport, timezoneId: "UTC", ...options });
    context.setDefaultTimeout(WAIT_MS_MAX);
    context.on("console", (message) => {
      const isBad = message.type() === "error" && !EXPECTED.test(message.text());
      if (isBad) this.#complaints.push(message.text());
    });
    context.on("weberror", (error) => this.#complaints.push(String(error.error().stack)));
    return context;
  }

  /** Fails when a page has thrown, or done what its policy forbids. */
  assertQuiet() {
    assert.deepEqual(this.#complaints.splice(0), []);
  }

  /** Ends it. */
  async close() {
    await this.#browser.close();
  }
}

/** Fails when the page is wider than its window. */
export async function assertFits(/** @type {import("playwright-core").Page} */ page) {
  const widths = await page.evaluate(() => [document.body.scrollWidth, innerWidth]);
  assert.ok((widths[0] ?? 0) <= (widths[1] ?? 0), `scrolls sideways: ${widths}`);
}

/** Fails when the page has barriers, in both themes; keeps a picture of each. */
export async function assertAccessible(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {string} */ name,
) {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.waitForFunction(
      (scheme) => document.documentElement.dataset.mantineColorScheme === scheme,
      colorScheme,
    );
    await picture(page, `${name}-${colorScheme}`);
    await page.evaluate(AXE);
    const found = await page.evaluate(async () => {
      /** @type {typeof import("axe-core")} */
      const axe = Reflect.get(globalThis, "axe");
      const { violations } = await axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      });
      return violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`,
      );
    });
    assert.deepEqual(found, [], `${name} in the ${colorScheme} theme`);
  }
}

/** How long a picture may take: on a machine that is busy, longer than whatever a person waits for. */
const PICTURE_MS_MAX = 60_000;

/** Keeps a picture of the page among the artifacts. */
export async function picture(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {string} */ name,
) {
  await mkdir(ARTIFACTS, { recursive: true });
  const path = join(ARTIFACTS, `${name}.png`);
  await page.screenshot({ path, animations: "disabled", timeout: PICTURE_MS_MAX });
}
