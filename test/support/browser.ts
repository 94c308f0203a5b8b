import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
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

/** A browser's session of its own. */
export async function openSession(
  browser: Browser,
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  // Where networks of containers come and go beside the test, the browser lets go of what it was fetching.
  context.on("requestfailed", (request) => {
    const isLetGo = request.failure()?.errorText === "net::ERR_NETWORK_CHANGED";
    if (!isLetGo || !["script", "stylesheet"].includes(request.resourceType())) return;
    // The page may be gone by now.
    request
      .frame()
      .page()
      .reload()
      .catch(() => undefined);
  });
  return context;
}

/** Opens a page in a browser's session of its own, signed in by the link that the stack prints. */
export async function openConsole(
  browser: Browser,
  stack: Pick<RunningStack, "url" | "token">,
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<{ page: Page; faults: string[] }> {
  const context = await openSession(browser, options);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("net::ERR_NETWORK_CHANGED")) return;
    if (message.type() === "error" || message.type() === "warning") faults.push(message.text());
  });
  await page.goto(`${stack.url}/#token=${stack.token}`);
  await page.getByRole("navigation").first().waitFor();
  return { page, faults };
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
