import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newWorkerId } from "../../shared/domain/ids.ts";
import {
  findBarriers,
  findBrowser,
  isTooWide,
  openConsole,
  openSession,
  setHidden,
  startBrowser,
  takePicture,
} from "../support/browser.ts";
import { startCli } from "../support/cli-child.ts";
import { eventually } from "../support/eventually.ts";
import { callApi, readTask, step, submit, waitForJob } from "../support/jobs.ts";
import { type RunningStack, startLocalStack } from "../support/local-stack.ts";

const executable = findBrowser();
const bad = "<img src=x onerror=alert(1)>";

let stack: RunningStack;
let browser: Browser;
/** A job of several tasks with needs, of which one fails, with output. */
let mixedJob: string;
/** A job that runs while others are looked at: samples of what is over within 5 s are not kept. */
let reportId: string;

beforeAll(async () => {
  if (executable === undefined) return;
  [stack, browser] = await Promise.all([startLocalStack({ slots: 6 }), startBrowser(executable)]);
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
  mixedJob = await submit(stack, {
    name: "mixed",
    steps: [
      step({
        run: `seq 1 40; printf '\\033[33mcompiling\\033[0m\\n'; echo out > "$SLUICE_OUTPUT/out ${bad.replace("/", "")}"`,
      }),
      {
        ...step({ run: 'test "$SLUICE_TASK" != lint || { echo "lint: 3 errors" >&2; exit 3; }' }),
        name: `check ${bad}`,
      },
    ],
    tasks: [
      ...["build", "docs", "lint"].map((name) => ({ name, env: { TEXT: bad } })),
      { name: "deploy", needs: ["build", "lint"] },
    ],
  });
});

afterAll(async () => {
  await browser?.close();
  await stack?.stop();
  await stack?.remove();
});

/** How a job of the list stands. */
function rowOf(page: Page, job: string, state: string): Locator {
  return page.getByRole("row").filter({ hasText: job }).getByText(state).first();
}

/** What has the focus, by the name that people know it by. */
function focused(page: Page): Promise<string> {
  return page.evaluate(
    "(({ activeElement: e }) => (e?.getAttribute('aria-label') ?? e?.textContent ?? '').trim())(document)",
  );
}

/** Goes from one place of the keyboard to the next until it comes to one; each has to be seen. */
async function tabTo(page: Page, name: string, presses = 40): Promise<void> {
  for (let press = 0; press < presses; press++) {
    await page.keyboard.press("Tab");
    const isSeen = await page.evaluate(
      "(({ activeElement: e }) => !e || e === document.body || getComputedStyle(e).outlineStyle !== 'none' || e.matches('[class*=menu], [role=alertdialog]'))(document)",
    );
    expect(isSeen, `the focus on ${await focused(page)} is seen`).toBe(true);
    if ((await focused(page)) === name) return;
  }
  throw new Error(`keys do not come to ${name}`);
}

async function readCount(place: Locator): Promise<number> {
  return Number(/[\d,]+/.exec((await place.textContent()) ?? "")?.[0].replaceAll(",", "") ?? 0);
}

describe.skipIf(executable === undefined)("the console", () => {
  it.concurrent("lets in by the link, and out of all tabs; what fails on the way is told, and loses nothing", async () => {
    const context = await openSession(browser);
    const page = await context.newPage();
    const isSession = (url: URL) => url.pathname === "/v1/session";
    await context.route(isSession, (route) => route.fulfill({ status: 503, body: "{}" }));
    await page.goto(`${stack.url}/#token=${stack.token}`);
    await page.getByRole("alert").waitFor();
    expect(page.url()).not.toContain("token");
    await context.unroute(isSession);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("navigation").first().waitFor();

    const other = await context.newPage();
    await other.goto(`${stack.url}/jobs`);
    await other.getByRole("heading", { name: "Jobs" }).waitFor();
    await context.route(isSession, (route) => route.abort());
    await page.getByRole("button", { name: "local", exact: true }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByText("You are still signed in").waitFor();
    await context.unroute(isSession);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByLabel("Token").fill("guess");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("This token is not known here.").waitFor();
    // Another tab that is open notices with the next thing that it asks for, be it by itself.
    const clicked = other.getByRole("link", { name: "Workers" }).click();
    clicked.catch(() => undefined);
    await other.getByLabel("Token").waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await takePicture(page, "sign-in-light");
    await page.goto(`${stack.url}/#token=sl_none`);
    await page.getByText("The token of this link is not known here.").waitFor();
    await page.getByLabel("Token").fill(stack.token);
    await page.getByLabel("Token").press("Enter");
    await page.getByRole("navigation").first().waitFor();
    await context.close();
  });

  it.concurrent("shows a job that the CLI runs as it moves, follows its log, and runs again what failed", async () => {
    const { page, faults } = await openConsole(browser, stack, { colorScheme: "dark" });
    const gate = join(stack.dataDir, "gate");
    const file = join(stack.dataDir, "story.yaml");
    const loop = `i=0; until [ -e ${gate} ]; do i=$((i+1)); echo tick $i; sleep 0.1; done`;
    await writeFile(
      file,
      `version: "1"\nname: story\nsteps:\n  - name: wait\n    run: "seq 1 3000; ${loop}"\n  - name: judge\n    run: 'test "$SLUICE_TASK" != t1 -o "$SLUICE_ATTEMPT" = 2'\ntasks: [t1, t2]\n`,
    );
    const cli = startCli(stack, ["run", file]);
    await page.goto(`${stack.url}/jobs`);
    await page.getByRole("link", { name: "story" }).click();
    await page.getByRole("listitem").filter({ hasText: "t1" }).getByText("running").first().waitFor();
    await page.getByRole("link", { name: "t1", exact: true }).first().click();

    // The end is followed until somebody looks at something else.
    const tick = page.getByText(/^tick \d+$/).first();
    await tick.waitFor();
    await page.getByRole("button", { name: "Following" }).waitFor();
    await page.getByLabel("Search the log").fill("TICK");
    const found = page.locator(".log-found");
    await found.getByText(/^\d+ found$/).waitFor();
    const before = await readCount(found);
    await eventually(async () => (await readCount(found)) > before, "lines that come later are found");
    await page.getByRole("button", { name: "Previous match" }).click();
    await page.locator(".log-current").waitFor();
    await page.getByLabel("Search the log").fill("2999");
    await found.getByText("1 found").waitFor();
    await page.keyboard.press("Enter");
    await page.locator(".log-current").getByText("2999").first().waitFor();
    await page.getByRole("button", { name: "Jump to end" }).waitFor();
    await page.getByRole("link", { name: "2999", exact: true }).click();

    // What the address says is there again, and each line once.
    await page.reload();
    await page.locator(".log-current").getByText("2999", { exact: true }).first().waitFor();
    const numbers = await page.locator(".log-number").allTextContents();
    expect(new Set(numbers).size).toBe(numbers.length);
    await page.getByRole("button", { name: "Jump to end" }).click();
    await tick.waitFor();

    await writeFile(gate, "");
    expect(await cli.end()).toBe(1);
    await page.getByText("failed").first().waitFor();
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Run again" }).click();
    await page.getByRole("link", { name: /Attempt 2/ }).waitFor();
    await page.getByText("completed").first().waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it.concurrent("shows what a task used, what is in its artifact and what it ran with", async () => {
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

  it.concurrent("shows text from outside as text, wherever it comes from", async () => {
    const { page, faults } = await openConsole(browser, stack);
    const { workerToken } = JSON.parse(await readFile(join(stack.dataDir, "state.json"), "utf8"));
    const description = { pool: "default", slots: 1, provider: "local", version: "0", processSteps: true };
    await callApi({ ...stack, token: workerToken }, "/v1/workers", {
      ...description,
      workerId: newWorkerId(Date.now()),
      host: `host ${bad}`,
    });
    const oddJob = await submit(stack, {
      name: "odd",
      steps: [
        step({
          run: `printf '%s\\n' '${bad}' '\\033[31m${bad}\\033[0m' '<script>alert(1)</script>'; printf '\\033[38;5;196mred\\033[0m 10%%\\r100%%\\nnul \\0 end\\n\\033]8;;javascript:alert(1)\\007link\\033]8;;\\007\\n'`,
        }),
      ],
      tasks: [{ name: "only" }],
    });
    await waitForJob(stack, oddJob);
    await page.goto(`${stack.url}/jobs/${oddJob}/tasks/only?line=${encodeURIComponent(`1:${bad}`)}`);
    await page.getByText(bad).first().waitFor();
    await page.getByText("nul  end").waitFor();
    expect(await page.locator(".log-text").getByText("100%").first().textContent()).toContain("100%");
    expect(await page.locator(".log-text a").count()).toBe(0);
    await page.getByLabel("Search the log").fill("<IMG src");
    await page.getByText("2 found").waitFor();
    expect(await page.locator(".log-text mark").first().textContent()).toBe("<img src");

    await waitForJob(stack, mixedJob);
    await page.goto(`${stack.url}/jobs/${mixedJob}/tasks/lint`);
    await page.getByText(`check ${bad}`).first().waitFor();
    const query = encodeURIComponent(bad);
    await page.goto(`${stack.url}/jobs?search=${query}&by=${query}&status=${query}&within=${query}`);
    await page.getByText("No job is like that").first().waitFor();
    await page.goto(`${stack.url}/jobs/${mixedJob}?find=${query}&view=${query}&status=${query}`);
    await page.getByText("No task is like that").waitFor();
    await page.goto(`${stack.url}/jobs/${query}`);
    await page.getByText("There is no such job").waitFor();
    await page.goto(`${stack.url}/workers`);
    await page.getByText(`host ${bad}`).first().waitFor();
    expect(await page.locator("img[src=x]").count()).toBe(0);
    // A job that is not there is told by the browser as well.
    expect(faults.filter((fault) => !fault.includes("404"))).toEqual([]);
    await page.context().close();
  });

  it.concurrent("is within reach of the keyboard, all the way", async () => {
    const { page, faults } = await openConsole(browser, stack);
    const jobId = await submit(stack, {
      name: "endless",
      steps: [step({ run: "sleep 600" })],
      tasks: [{ name: "only" }],
    });
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Keyboard").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("j");
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    await page.getByRole("link", { name: "endless" }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type(jobId);
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "mixed" }).waitFor({ state: "detached" });
    await tabTo(page, "running");
    await page.keyboard.press("Enter");
    await page.waitForURL(/status=running/);
    await page.getByRole("link", { name: "endless" }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "endless" }).waitFor();

    await tabTo(page, "Cancel job");
    await page.keyboard.press("Enter");
    await page.getByRole("alertdialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("alertdialog").waitFor({ state: "detached" });
    expect(await focused(page)).toBe("Cancel job");
    await page.keyboard.press("Enter");
    await page.getByRole("alertdialog").waitFor();
    await tabTo(page, "Cancel job", 5);
    await page.keyboard.press("Enter");
    await page.getByRole("alertdialog").waitFor({ state: "detached" });
    await page.getByText("aborted").first().waitFor();
    // Whatever has the focus now, the way leads on, and back.
    await tabTo(page, "only");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /only/ }).waitFor();
    await page.goBack();
    await page.goBack();
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it.concurrent("asks for nothing in the background, and catches up when it is seen again", async () => {
    const { page } = await openConsole(browser, stack);
    const task = await page.context().newPage();
    const gate = join(stack.dataDir, "background");
    const jobId = await submit(stack, {
      name: "background",
      steps: [step({ run: `echo begun; until [ -e ${gate} ]; do sleep 0.1; done; echo over` })],
      tasks: [{ name: "only" }],
    });
    await task.goto(`${stack.url}/jobs/${jobId}/tasks/only`);
    await task.getByText("begun").waitFor();
    await page.goto(`${stack.url}/jobs`);
    await rowOf(page, "background", "running").waitFor();
    await Promise.all([setHidden(page, true), setHidden(task, true)]);
    const asked: string[] = [];
    for (const tab of [page, task]) tab.on("request", (request) => asked.push(request.url()));
    await writeFile(gate, "");
    await waitForJob(stack, jobId);
    const later = await submit(stack, { name: "later", steps: [step({ run: "true" })], tasks: [{ name: "only" }] });
    await waitForJob(stack, later);
    expect(asked).toEqual([]);
    await Promise.all([setHidden(page, false), setHidden(task, false)]);
    await rowOf(page, "background", "completed").waitFor();
    await rowOf(page, "later", "completed").waitFor();
    await task.getByText("over", { exact: true }).waitFor();
    await task.getByText("completed").first().waitFor();
    await page.context().close();
  });

  it.concurrent("opens on what runs, why attempts failed and what workers hold, as it changes", async () => {
    const { page, faults } = await openConsole(browser, stack);
    const gate = join(stack.dataDir, "overview-gate");
    const jobId = await submit(stack, {
      name: "watched",
      steps: [step({ run: `until [ -e ${gate} ]; do sleep 0.1; done; exit 3` })],
      tasks: [{ name: "only" }],
    });
    const panel = (name: string) => page.getByRole("region", { name });
    await panel("Running now").getByRole("link", { name: "watched" }).waitFor();
    await panel("Pools").getByRole("link", { name: "default" }).waitFor();
    const workerId = await eventually(async () => (await readTask(stack, jobId, "only")).workerId, "a worker takes it");
    await panel("Fleet").locator(`a[href="/workers/${workerId}"]`).first().click();
    const held = page.getByRole("row").filter({ hasText: jobId.slice(-8) });
    await held.getByRole("link", { name: "only" }).waitFor();
    await writeFile(gate, "");
    await held.waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("o");
    await panel("Ended lately").getByRole("link", { name: "watched" }).waitFor();
    await panel("Failures by reason").getByText("a step failed").first().waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it("shows why tasks failed, when they ran, and what the job was submitted as", async () => {
    await waitForJob(stack, mixedJob);
    const { page, faults } = await openConsole(browser, stack);
    await page.goto(`${stack.url}/jobs/${mixedJob}`);
    await page.getByRole("button", { name: /1 a step failed/ }).click();
    await page.waitForURL(/group=exit_code/);
    const rows = page.getByRole("list", { name: "Tasks" }).getByRole("listitem");
    await rows.filter({ hasText: "deploy" }).waitFor({ state: "detached" });
    expect(await rows.allTextContents()).toEqual([expect.stringContaining(`check ${bad} exited with 3`)]);
    await page.getByRole("button", { name: /of one reason/ }).click();
    await rows.filter({ hasText: "deploy" }).waitFor();

    await page.getByRole("tab", { name: "Tasks" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.waitForURL(/view=timeline/);
    const chart = page.getByLabel(/^3 attempts on 1 worker/);
    await chart.focus();
    await page.keyboard.press("ArrowRight");
    await page.getByText(/attempt 1 (completed|failed) on/).waitFor();
    await page.keyboard.press("+");
    await page.keyboard.press("Enter");
    await page.waitForURL(/tasks\/\w+\?attempt=1/);
    await page.goBack();
    await chart.waitFor();
    await page.getByRole("row", { name: /running steps/ }).waitFor();

    await page.getByRole("tab", { name: "Job file" }).click();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe(`${mixedJob}.yaml`);
    expect(await page.locator("img[src=x]").count()).toBe(0);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it("shows a job of 10,000 tasks whole, and finds one of them", async () => {
    const { page, faults } = await openConsole(browser, stack);
    // None has room for them: they wait, which is all that is looked at here.
    const tasks = Array.from({ length: 10_000 }, (_, index) => ({ name: `t${index}`, slots: 1_000 }));
    const jobId = await submit(stack, { name: "large", steps: [step({ run: "true" })], tasks });
    await page.goto(`${stack.url}/jobs/${jobId}`);
    await page.getByText("0 of 10,000 ended").waitFor();
    // They are written after the answer, and read as they come.
    await page.getByLabel("10,000 tasks by state; the table below lists them").waitFor({ timeout: 120_000 });
    const list = page.getByRole("list", { name: "Tasks" });
    await list.getByRole("link", { name: "t0", exact: true }).waitFor();
    // Only what is in view is there.
    expect(await list.getByRole("listitem").count()).toBeLessThan(100);
    await list.hover();
    await page.mouse.wheel(0, 10_000_000);
    await list.getByRole("link", { name: "t9999" }).waitFor();
    await takePicture(page, "job-large-light");
    await page.getByLabel("Find a task").fill("t777");
    await list.getByRole("link", { name: "t7779" }).waitFor();
    expect(await list.getByRole("listitem").count()).toBe(11);
    await page.getByRole("tab", { name: "Timeline" }).click();
    await page.getByText("Nothing has started yet").waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it("has no barriers in either theme, and fits on a phone", async () => {
    await waitForJob(stack, mixedJob);
    const { workerId } = await readTask(stack, mixedJob, "lint");
    const { page, faults } = await openConsole(browser, stack, { colorScheme: "light" });
    const pages: Record<string, { path: string; shows: Locator }> = {
      overview: { path: "/", shows: page.getByText("a step failed").first() },
      jobs: { path: "/jobs", shows: page.getByRole("link", { name: "mixed" }) },
      job: { path: `/jobs/${mixedJob}`, shows: page.getByRole("link", { name: "deploy" }).first() },
      timeline: { path: `/jobs/${mixedJob}?view=timeline`, shows: page.getByLabel(/^3 attempts on 1 worker/) },
      "job-file": { path: `/jobs/${mixedJob}?view=file`, shows: page.getByText(`name: check ${bad}`) },
      task: { path: `/jobs/${mixedJob}/tasks/lint`, shows: page.getByText("lint: 3 errors").first() },
      workers: { path: "/workers", shows: page.getByRole("button", { name: "Drain" }).first() },
      worker: { path: `/workers/${workerId}`, shows: page.getByText("started on").first() },
    };
    for (const [name, { path, shows }] of Object.entries(pages)) {
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: "light" });
      await page.goto(stack.url + path);
      await shows.waitFor();
      expect(await findBarriers(page), name).toEqual([]);
      await takePicture(page, `${name}-light`);
      await page.emulateMedia({ colorScheme: "dark" });
      expect(await findBarriers(page, "colours"), `${name}, dark`).toEqual([]);
      await takePicture(page, `${name}-dark`);
      await page.setViewportSize({ width: 390, height: 844 });
      await takePicture(page, `${name}-phone`);
      expect(await isTooWide(page), `${name} on a phone`).toBe(false);
    }
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it("goes on where it was when the stack is killed and started again, and drains a worker", async () => {
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
    const list = await page.context().newPage();
    await list.goto(`${stack.url}/jobs`);
    await rowOf(list, "long", "aborted").waitFor();

    const { port } = new URL(stack.url);
    await stack.kill();
    await list.getByText("contact lost, trying again").waitFor();
    stack = await startLocalStack({ slots: 4, dataDir: stack.dataDir, port: Number(port) });
    await list.getByText("contact lost, trying again").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Run again" }).click();
    await page.getByRole("link", { name: /Attempt 2/ }).waitFor();
    await page.getByText("completed").first().waitFor();
    await rowOf(list, "long", "completed").waitFor();

    await page.goto(`${stack.url}/workers`);
    // The newest stands first; the one that was killed with its stack may not count as lost yet.
    await page.getByRole("button", { name: "Drain" }).first().click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Drain" }).click();
    await page.getByText("stopped in order").first().waitFor();
    await page
      .getByRole("list", { name: "Pools" })
      .getByText(/scaled down|crashed/)
      .first()
      .waitFor();
    await page.context().close();
  });
});
