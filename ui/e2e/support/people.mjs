// @ts-check

/** The administrator's password in every test. */
export const PASSWORD = "correct-horse-battery";

/** Goes through the first run by the printed link; ends on the first page. */
export async function setUp(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {import("./server.mjs").Server} */ server,
) {
  await page.goto(server.setupUrl);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByLabel("The same again").fill(PASSWORD);
  await page.getByRole("button", { name: "Set the password and log in" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
}

/** Fills in the login that is shown. */
export async function logIn(/** @type {import("playwright-core").Page} */ page, name = "admin") {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** Logs in, by the first run if nobody has before. */
export async function enter(
  /** @type {import("playwright-core").Page} */ page,
  /** @type {import("./server.mjs").Server} */ server,
) {
  if (server.setupUrl) return setUp(page, server);
  await page.goto(server.url);
  await logIn(page);
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
}

/** Waits until the page is told what happens. */
export async function untilLive(/** @type {import("playwright-core").Page} */ page) {
  await page.getByTestId("live-chip").getByText("Live").waitFor();
}

/** Opens the command palette and waits until what is typed goes into it. */
export async function openPalette(/** @type {import("playwright-core").Page} */ page) {
  await page.keyboard.press("Control+k");
  await page.getByPlaceholder("Search or run a command").and(page.locator(":focus")).waitFor();
}
