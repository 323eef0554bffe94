// @ts-check
import assert from "node:assert/strict";

const WAIT_MS_MAX = 60_000;
const LOOK_EVERY_MS = 50;

/**
 * Waits until something holds.
 *
 * @param {string} what
 * @param {() => Promise<boolean> | boolean} holds
 */
export async function until(what, holds) {
  const giveUpAt = Date.now() + WAIT_MS_MAX;
  while (!(await holds())) {
    assert.ok(Date.now() < giveUpAt, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
