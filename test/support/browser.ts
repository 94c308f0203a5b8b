import { existsSync, readFileSync } from "node:fs";
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
const axeSource = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const openMs = 15_000;
const openTries = 3;
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
    // Where networks of containers come and go, the browser lets go of what it was fetching, and asks again.
    if (message.text().includes("net::ERR_NETWORK_CHANGED")) return;
    if (message.type() === "error" || message.type() === "warning") faults.push(message.text());
  });
  for (let tries = 1; ; tries++) {
    await page.goto(`${stack.url}/#token=${stack.token}`);
    try {
      await page.getByRole("navigation").first().waitFor({ timeout: openMs });
      return { page, faults };
    } catch (error) {
      // Its script may be what the browser let go of (see above).
      if (tries === openTries) throw error;
      await page.goto("about:blank");
    }
  }
}

/** Keeps a picture of the page beside the other output of the tests. */
export async function takePicture(page: Page, name: string): Promise<void> {
  await mkdir(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`) });
}

interface AxeRules {
  run(choice: { runOnly?: string[] }): Promise<{
    violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[];
  }>;
}

/** What axe-core finds that keeps people from using the page; or only what is wrong with its colours. */
export async function findBarriers(page: Page, part: "all" | "colours" = "all"): Promise<string[]> {
  // By the debugger's way in: the content policy of the page lets no other script run.
  await page.evaluate(axeSource);
  return page.evaluate(
    async (runOnly) => {
      const { axe } = globalThis as unknown as { axe: AxeRules };
      const { violations } = await axe.run(runOnly ? { runOnly } : {});
      return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")} ${nodes[0]?.failureSummary}`);
    },
    part === "colours" ? ["color-contrast"] : undefined,
  );
}

/** Tells the page that nobody sees it, or that somebody does again; a browser without a window never does. */
export async function setHidden(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate(`Object.defineProperty(document, "hidden", { configurable: true, get: () => ${isHidden} });
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "${isHidden ? "hidden" : "visible"}" });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));`);
}

/** Whether the page can be moved sideways: on a phone nothing may be wider than the screen. */
export function isTooWide(page: Page): Promise<boolean> {
  return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth");
}
