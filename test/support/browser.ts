import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import type { RunningStack } from "./local-stack.ts";

/** Nothing but the page is fetched, and nothing is kept. */
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const pictures = fileURLToPath(new URL("../../test-output/console/", import.meta.url));

/**
 * The browser of this machine (or the one that CHROMIUM names). Without one the tests that need it are skipped, loudly;
 * in CI they fail.
 */
export function findBrowser(): string | undefined {
  const found = [process.env.CHROMIUM ?? "", ...places].find((path) => path !== "" && existsSync(path));
  if (found === undefined) {
    if (process.env.CI) throw new Error("there is no Chromium on this machine, and CI runs the tests that need one");
    console.warn("SKIPPED: the tests of the console need Chromium; install it or set CHROMIUM to its path");
  }
  return found;
}

/** Starts the browser without a window. */
export function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: flags });
}

/** Opens a page in a browser's session of its own, signed in by the link that the stack prints. */
export async function openConsole(
  browser: Browser,
  stack: Pick<RunningStack, "url" | "token">,
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<{ page: Page; faults: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(message.text());
  });
  await page.goto(`${stack.url}/#token=${stack.token}`);
  await page.getByRole("navigation").waitFor();
  return { page, faults };
}

/** Keeps a picture of the page beside the other output of the tests. */
export async function takePicture(page: Page, name: string): Promise<void> {
  await mkdir(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`) });
}
