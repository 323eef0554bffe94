// @ts-check
import { after, afterEach } from "node:test";
import { Browser } from "./browser.mjs";
import { setUp } from "./people.mjs";
import { Server } from "./server.mjs";

/**
 * What the tests of a suite act on: a server, a browser, and a page on which the administrator has
 * logged in, unless nobody has yet. All of it ends with the suite, and each test leaves a quiet console.
 *
 * @param {{ isDemo?: boolean, isSetUp?: boolean, env?: Record<string, string> }} options
 */
export async function stage({ isDemo = true, isSetUp = true, env = {} } = {}) {
  const server = await Server.start({ isDemo, env });
  const browser = await Browser.start();
  const end = async () => {
    await browser.close();
    await server.remove();
  };
  try {
    const page = await (await browser.context()).newPage();
    if (isSetUp) await setUp(page, server);
    after(end);
    afterEach(() => browser.assertQuiet());
    return { server, browser, page };
  } catch (error) {
    await end();
    throw error;
  }
}
