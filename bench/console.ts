import { existsSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Browser, CDPSession, Page } from "playwright-core";
import type { TaskBriefPage } from "../shared/api/schemas.ts";
import { openConsole } from "../test/support/browser.ts";
import { startInProcessWorker } from "../test/support/in-process-worker.ts";
import { callApi, step, submit, waitForJob } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { startBusyConsole } from "./support/fake-job-api.ts";
import { type Figure, summarize } from "./support/statistics.ts";

const distFolder = fileURLToPath(new URL("../console/dist", import.meta.url));
const writtenDeadlineMs = 300_000;
/** A frame that takes longer is one of fewer than thirty a second. */
const longFrameMs = 1000 / 30;

/** Said to the page. */
const drawnAt = "new Promise((resolve) => requestAnimationFrame(() => resolve(performance.now())))";
const frameDeltas = (ms: number) => `new Promise((resolve) => {
  const taken = [];
  const beganAt = performance.now();
  let last = beganAt;
  const take = (now) => {
    taken.push(now - last);
    last = now;
    if (now - beganAt < ${ms}) requestAnimationFrame(take);
    else resolve(taken.slice(1));
  };
  requestAnimationFrame(take);
})`;

/** How large the measured jobs are. */
export interface ConsoleLoad {
  tasks: number;
  watchedTasks: number;
  rounds: number;
  frameSeconds: number;
  memoryMinutes: number;
}

/** What the console costs the one who opens it: needs a stack without workers, and a browser. */
export async function measureConsole(stack: RunningStack, browser: Browser, load: ConsoleLoad): Promise<Figure[]> {
  const script = measureScript();
  const large = await submit(stack, noopJob("large", load.tasks, 1_000));
  await waitForTasks(stack, large, load.tasks);
  return [
    {
      name: "JavaScript before any page, gzip",
      value: `${(script / 1024).toFixed(0)} KB`,
      aim: { text: "≤ 200 KB", met: script <= 200 * 1024 },
    },
    ...(await measureOpening(stack, browser, large, load)),
    await measureBytes(stack, browser, load.watchedTasks),
  ];
}

/** The tasks of a large job are written after the answer to its submission. */
async function waitForTasks(stack: RunningStack, job: string, tasks: number): Promise<void> {
  for (const givesUpAt = Date.now() + writtenDeadlineMs; Date.now() < givesUpAt; await sleep(1_000)) {
    let known = 0;
    let cursor: string | undefined = "";
    do {
      const query: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: TaskBriefPage = await callApi(stack, `/v1/jobs/${job}/task-briefs?limit=2500${query}`);
      known += page.tasks.length;
      cursor = page.cursor;
    } while (cursor !== undefined);
    if (known === tasks) return;
  }
  throw new Error(`the tasks of ${job} were not written in time`);
}

/** Of what the first answer of the server names: the pages come when they are opened. */
function measureScript(): number {
  const indexFile = join(distFolder, "index.html");
  if (!existsSync(indexFile)) throw new Error("the console is not built: npm run build:console");
  const index = readFileSync(indexFile, "utf8");
  const names = new Set([...index.matchAll(/assets\/[\w.-]+\.js/g)].map(([name]) => name));
  if (names.size === 0) throw new Error(`${indexFile} names no script`);
  return [...names].reduce((sum, name) => sum + gzipSync(readFileSync(join(distFolder, name))).byteLength, 0);
}

async function measureOpening(stack: RunningStack, browser: Browser, job: string, { tasks, rounds }: ConsoleLoad) {
  const { page } = await openConsole(browser, stack);
  const lists: number[] = [];
  const jobs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    lists.push(await timeOpening(page, `${stack.url}/jobs`, () => page.locator("tbody a, .empty").first().waitFor()));
    jobs.push(
      await timeOpening(page, `${stack.url}/jobs/${job}`, async () => {
        await page.locator(".task-map canvas").waitFor();
        await page.locator(".reading").waitFor({ state: "detached" });
      }),
    );
  }
  await page.context().close();
  const [list, whole] = [summarize(lists), summarize(jobs)];
  return [
    {
      name: "the list of jobs can be used after",
      value: `${list.median.toFixed(0)} ms (median of ${rounds}, at most ${list.max.toFixed(0)} ms)`,
      aim: { text: "< 1 s", met: list.median < 1_000 },
    },
    {
      name: `the map of a job of ${tasks} tasks is whole after`,
      value: `${whole.median.toFixed(0)} ms (median of ${rounds}, at most ${whole.max.toFixed(0)} ms; load ${formatLoad()})`,
      aim: { text: "< 1.5 s", met: whole.median < 1_500 },
    },
  ];
}

/** From the beginning of the navigation until the page says so, and has drawn it, by the page's own clock. */
async function timeOpening(page: Page, url: string, untilThere: () => Promise<void>): Promise<number> {
  await page.goto("about:blank");
  await page.goto(url, { waitUntil: "commit" });
  await untilThere();
  return page.evaluate<number>(drawnAt);
}

/** All that comes over the wire for a page that is open from the submission of a job until its end. */
async function measureBytes(stack: RunningStack, browser: Browser, tasks: number): Promise<Figure> {
  const { page } = await openConsole(browser, stack);
  const devtools = await page.context().newCDPSession(page);
  let bytes = 0;
  devtools.on("Network.dataReceived", ({ encodedDataLength }) => {
    bytes += encodedDataLength;
  });
  await devtools.send("Network.enable");
  const job = await submit(stack, noopJob("watched", tasks, 1));
  await page.goto(`${stack.url}/jobs/${job}`);
  const worker = await startInProcessWorker(stack, 32);
  await waitForJob(stack, job, 500);
  await page.getByText(`${tasks.toLocaleString("en-US")} of ${tasks.toLocaleString("en-US")} ended`).waitFor();
  await worker.stop();
  await page.context().close();
  return {
    name: `bytes for watching a job of ${tasks} tasks from its submission to its end`,
    value: `${(bytes / 1000).toFixed(0)} kB, the console itself included`,
    aim: { text: "≤ 1 MB", met: bytes <= 1e6 },
  };
}

function noopJob(name: string, tasks: number, slots: number) {
  return {
    name,
    steps: [step({ command: ["true"] })],
    tasks: Array.from({ length: tasks }, (_, index) => ({ name: `t${index}`, slots })),
  };
}

/** How the page of a job keeps up with 200 events a second, on each of its views, and what it holds after minutes of them. */
export async function measureBusyPage(browser: Browser, load: ConsoleLoad): Promise<Figure[]> {
  const eventsPerSecond = 200;
  const busy = await startBusyConsole(load.tasks, eventsPerSecond);
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const devtools = await page.context().newCDPSession(page);
    // Time that the page's thread had: what else the machine does is not the page's.
    await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
    const figures: Figure[] = [];
    for (const view of ["tasks", "timeline"]) {
      await page.goto(`${busy.url}/jobs/${busy.job}?view=${view}`, { waitUntil: "commit" });
      await page.locator("canvas").waitFor();
      figures.push(...(await measureFrames(page, devtools, view, load.frameSeconds)));
    }
    await page.goto(`${busy.url}/jobs/${busy.job}`, { waitUntil: "commit" });
    await page.locator("canvas").waitFor();
    figures.push(await measureHeap(page, devtools, load.memoryMinutes));
    await page.close();
    return figures;
  } finally {
    await busy.close();
  }
}

async function measureFrames(page: Page, devtools: CDPSession, view: string, seconds: number): Promise<Figure[]> {
  const before = await readThreadSeconds(devtools);
  const deltas = await page.evaluate<number[]>(frameDeltas(seconds * 1000));
  const busy = (await readThreadSeconds(devtools)) - before;
  const sorted = [...deltas].sort((a, b) => a - b);
  const p95 = sorted[Math.ceil(0.95 * sorted.length) - 1] ?? Number.NaN;
  const long = deltas.filter((delta) => delta > longFrameMs + 1).length / deltas.length;
  return [
    {
      name: `200 events a second, ${view}: 95 % of frames within`,
      value: `${p95.toFixed(1)} ms; ${(100 * long).toFixed(1)} % longer than 33 ms (load ${formatLoad()})`,
      aim: { text: "≤ 33 ms", met: p95 <= longFrameMs + 1 },
    },
    {
      name: `200 events a second, ${view}: the page's thread`,
      value: `${((100 * busy) / seconds).toFixed(0)} % of a core`,
    },
  ];
}

async function readThreadSeconds(devtools: CDPSession): Promise<number> {
  const { metrics } = await devtools.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "TaskDuration")?.value ?? Number.NaN;
}

/** What is held after collection, a minute after the beginning and at the end. */
async function measureHeap(page: Page, devtools: CDPSession, minutes: number): Promise<Figure> {
  const sizes: number[] = [];
  const parts = 10;
  for (let part = 0; part <= parts; part++) {
    await page.waitForTimeout((minutes * 60_000) / (parts + 1));
    await devtools.send("HeapProfiler.collectGarbage");
    sizes.push((await devtools.send("Runtime.getHeapUsage")).usedSize / 1e6);
  }
  const [first = Number.NaN] = sizes;
  const last = sizes.at(-1) ?? Number.NaN;
  return {
    name: `heap over ${minutes} min of 200 events a second`,
    value: `${first.toFixed(1)} → ${last.toFixed(1)} MB (at most ${Math.max(...sizes).toFixed(1)})`,
    aim: { text: "flat", met: last <= first * 1.1 + 1 },
  };
}

function formatLoad(): string {
  return (loadavg()[0] ?? 0).toFixed(1);
}

/** A short run measures that the benchmark works. */
export function consoleLoad(short: boolean): ConsoleLoad {
  return short
    ? { tasks: 200, watchedTasks: 20, rounds: 1, frameSeconds: 1, memoryMinutes: 0.05 }
    : { tasks: 10_000, watchedTasks: 1_000, rounds: 7, frameSeconds: 20, memoryMinutes: 10 };
}
