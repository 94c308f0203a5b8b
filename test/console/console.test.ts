import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findBrowser, openConsole, startBrowser, takePicture } from "../support/browser.ts";
import { step, submit, waitForJob } from "../support/jobs.ts";
import { type RunningStack, startLocalStack } from "../support/local-stack.ts";

const executable = findBrowser();
const axeSource = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const bad = "<img src=x onerror=alert(1)>";

let stack: RunningStack;
let browser: Browser;
/** A job that runs while others are looked at: samples of what is over within 5 s are not kept. */
let reportId: string;

beforeAll(async () => {
  if (executable === undefined) return;
  [stack, browser] = await Promise.all([startLocalStack({ slots: 4 }), startBrowser(executable)]);
  reportId = await submit(stack, {
    name: "report",
    env: { COLOUR: "blue" },
    steps: [
      step({
        run: `mkdir $SLUICE_OUTPUT/reports; for n in 1 2 3; do echo $n > $SLUICE_OUTPUT/reports/r$n.xml; done; echo x > "$SLUICE_OUTPUT/${bad}"; sleep 5.5`,
      }),
    ],
    tasks: [{ name: "only" }],
  });
});

afterAll(async () => {
  await browser?.close();
  await stack?.stop();
  await stack?.remove();
});

/** What axe-core finds that keeps people from using the page. */
async function findBarriers(page: Page): Promise<string[]> {
  // By the debugger's way in: the content policy of the page lets no other script run.
  await page.evaluate(axeSource);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
}

describe.skipIf(executable === undefined)("the console", () => {
  it("lets in by the link, and out of all tabs; a wrong token is told", async () => {
    const { page } = await openConsole(browser, stack);
    expect(page.url()).not.toContain("token");
    const other = await page.context().newPage();
    await other.goto(`${stack.url}/jobs`);
    await other.getByRole("heading", { name: "Jobs" }).waitFor();
    await page.getByRole("button", { name: "local", exact: true }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByLabel("Token").fill("guess");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("This token is not known here.").waitFor();
    // Another tab that is open notices with the next thing that it asks for.
    await other.getByRole("link", { name: "Workers" }).click();
    await other.getByLabel("Token").waitFor();
    await other.close();
    expect(await findBarriers(page)).toEqual([]);
    await page.getByLabel("Token").fill(stack.token);
    await page.getByLabel("Token").press("Enter");
    await page.getByRole("navigation").waitFor();
    await page.context().close();
  });

  it("shows a job as it moves, its log, and why it failed", async () => {
    const { page, faults } = await openConsole(browser, stack, { colorScheme: "dark" });
    const gate = join(stack.dataDir, "gate");
    const jobId = await submit(stack, {
      name: "build",
      steps: [
        step({ run: `seq 1 3000; printf '\\033[31mred\\033[0m ${bad}\\n'; until [ -e ${gate} ]; do sleep 0.1; done` }),
        step({ run: 'test "$SLUICE_TASK" != t1' }),
      ],
      tasks: Array.from({ length: 4 }, (_, index) => ({ name: `t${index}` })),
    });
    await page.getByRole("link", { name: "build" }).click();
    await page.getByRole("tab", { name: "Tasks" }).waitFor();
    await page.getByRole("listitem").filter({ hasText: "t1" }).getByText("running").waitFor();
    await writeFile(gate, "");
    await page.getByRole("listitem").filter({ hasText: "t1" }).getByText("failed").waitFor();
    await page.getByRole("heading", { name: "build" }).waitFor();
    expect((await waitForJob(stack, jobId)).status).toBe("failed");
    await page.getByRole("button", { name: "Retry failed" }).waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await takePicture(page, "job-dark");

    await page.getByRole("link", { name: "t1" }).click();
    await page.getByText("t1 failed").waitFor();
    await page.getByRole("button", { name: /Step 1: step/ }).click();
    await page.getByLabel("Search the log").fill("onerror");
    await page.getByText("1 found").waitFor();
    await page.getByRole("button", { name: "Next match" }).click();
    // What a program prints is text, whatever it looks like, in the colours that it chose.
    await page.locator(".log-current").getByText(bad).waitFor();
    const red = page.locator(".log-text span").getByText("red", { exact: true });
    expect(await red.getAttribute("style")).toContain("rgb(255, 128, 136)");
    expect(await page.locator("img[src=x]").count()).toBe(0);
    expect(await findBarriers(page)).toEqual([]);
    await takePicture(page, "task-dark");
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it("shows what a task used, what is in its artifact and what it ran with", async () => {
    await waitForJob(stack, reportId);
    const { page, faults } = await openConsole(browser, stack);
    await page.goto(`${stack.url}/jobs/${reportId}/tasks/only`);
    await page.getByRole("row", { name: /1\. step .* exit 0/ }).waitFor();
    await page.getByRole("row", { name: "COLOUR blue job" }).waitFor();
    // One cursor for all charts: each tells what was used then.
    await page.locator(".chart .u-over").first().hover();
    await page
      .locator(".chart-values")
      .nth(1)
      .getByText(/used.*[1-9].* [kM]?B/)
      .waitFor();
    await page.getByRole("button", { name: "Show files" }).click();
    await page.locator(".file").getByText(bad).waitFor();
    await page.getByRole("button", { name: "reports/" }).click();
    await page.getByText("r2.xml").waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await takePicture(page, "task-files-light");
    await page.getByLabel(/^Find a file/).fill("R3");
    await page.getByText("1 found").waitFor();
    await page.getByText("reports/r3.xml").waitFor();
    await page.getByRole("button", { name: "Table" }).click();
    await page.getByRole("columnheader", { name: "Memory: used" }).waitFor();
    expect(await findBarriers(page)).toEqual([]);
    expect(await page.locator("img[src=x]").count()).toBe(0);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it("cancels and retries, and goes on where it was when the stack is killed and started again", async () => {
    const { page } = await openConsole(browser, stack);
    const jobId = await submit(stack, {
      name: "long",
      steps: [step({ run: 'if [ "$SLUICE_ATTEMPT" = 1 ]; then echo begun; sleep 600; fi' })],
      tasks: [{ name: "only" }],
    });
    await page.goto(`${stack.url}/jobs/${jobId}/tasks/only`);
    await page.getByText("begun").waitFor();
    await page.getByRole("button", { name: "Cancel task" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Cancel task" }).click();
    await page.getByText("aborted").first().waitFor();
    await takePicture(page, "task-light");

    const { port } = new URL(stack.url);
    await stack.kill();
    stack = await startLocalStack({ slots: 4, dataDir: stack.dataDir, port: Number(port) });
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Run again" }).click();
    await page.getByRole("link", { name: /Attempt 2/ }).waitFor();
    await page.getByText("completed").first().waitFor();
    await page.context().close();
  });

  it("shows workers and drains one; everything is within reach of the keyboard", async () => {
    const { page, faults } = await openConsole(browser, stack);
    await page.keyboard.press("g");
    await page.keyboard.press("w");
    await page.getByRole("heading", { name: "Workers" }).waitFor();
    // The newest stands first; the one that was killed with its stack may not count as lost yet.
    const drain = page.getByRole("button", { name: "Drain" }).first();
    await drain.waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await takePicture(page, "workers-light");
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Keyboard").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("j");
    await page.getByRole("link", { name: "long" }).waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await takePicture(page, "jobs-light");
    await page.keyboard.press("/");
    await page.keyboard.type("build");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "long" }).waitFor({ state: "detached" });
    await page.locator("h1").click();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "build" }).waitFor();
    await page.goto(`${stack.url}/workers`);
    await drain.click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Drain" }).click();
    await page.getByRole("listitem").filter({ hasText: "stopped" }).waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });
});
