import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Docker from "dockerode";
import { modelCosts, renderCosts } from "../shared/domain/cost/cost-model.ts";
import { findBrowser, startBrowser } from "../test/support/browser.ts";
import { ensureBusyboxImage } from "../test/support/docker-images.ts";
import { type RunningStack, type StackStart, startLocalStack } from "../test/support/local-stack.ts";
import { measureArtifacts } from "./artifacts.ts";
import { measureColdStarts } from "./cold-start.ts";
import { consoleLoad, measureBusyPage, measureConsole } from "./console.ts";
import { measureControlPlane } from "./control-plane.ts";
import { measureCosts } from "./cost.ts";
import { measureDrain } from "./drain.ts";
import { measureIdle } from "./idle.ts";
import { measureImages } from "./images.ts";
import { measureLatency } from "./latency.ts";
import { measureLogPath } from "./log-path.ts";
import { measureMasking } from "./masking.ts";
import { measureReads, measureRenewals, measureRequests } from "./requests.ts";
import { measureSampling } from "./sampling.ts";
import { measureSteps } from "./steps.ts";
import { printFigures } from "./support/statistics.ts";
import { measureProcessThroughput, measureThroughput } from "./throughput.ts";
import { measureWorkerLoss } from "./worker-loss.ts";

/**
 * `npm run bench` prints the figures; `npm run bench -- --short` runs each measurement once, quickly, as a check.
 * `--only plane` (or `masking`, `logs`, `artifacts`, `steps`, `requests`, `loss`, `drain`, `images`, `sampling`, `console`, `cold`, `cost`)
 * measures a part. Cold starts need the bundles of `npm run plan`; `--only cost` writes what the cost model is computed from.
 */
const { values } = parseArgs({
  options: { short: { type: "boolean", default: false }, only: { type: "string", multiple: true } },
});
const { short, only } = values;
const isWanted = (
  part:
    | "masking"
    | "logs"
    | "artifacts"
    | "steps"
    | "plane"
    | "requests"
    | "loss"
    | "drain"
    | "images"
    | "sampling"
    | "console"
    | "cold",
) => only === undefined || only.includes(part);
const slots = 4;
/** Enough that the worker never waits for a slot: what is measured is the control plane. */
const planeSlots = 32;
const image = "busybox:stable";

const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
const countsFile = join(folder, "requests.jsonl");
const counter = fileURLToPath(new URL("./support/count-requests.mjs", import.meta.url));

if (isWanted("masking")) {
  printFigures("Masking secrets in logs", await measureMasking(short ? 5 : 60, short ? 1 : 3));
}

if (isWanted("logs") && (await prepareImage())) {
  await onStack({ slots: 1 }, async (stack) => {
    const options = { image, folder, megabytes: short ? 2 : 100, rounds: short ? 1 : 3 };
    printFigures("The way of a log", await measureLogPath(stack, options));
  });
}

if (isWanted("artifacts")) {
  await onStack({ workers: 0 }, async (stack) => {
    const files = short ? 100 : 5_000;
    printFigures(`Artifact of ${files} files`, await measureArtifacts(stack, files, short ? 1 : 5));
  });
}

if (isWanted("steps")) {
  await onStack({ slots }, async (stack) => {
    printFigures("Idle, freshly started", await measureIdle(stack, short ? 2 : 15));
    const hasImage = await prepareImage();
    printFigures("Latency", [
      ...(await measureLatency(stack, short ? 3 : 30)),
      ...(hasImage ? await measureLatency(stack, short ? 3 : 30, image) : []),
    ]);
    if (hasImage) printFigures("Steps in containers", await measureSteps(stack, image, short ? 2 : 20));
    printFigures("Throughput", await measureProcessThroughput(stack, short ? [50] : [100, 1000]));
  });
  for (const concurrency of short ? [slots] : [1, 2, 4, 8]) {
    await onStack({ slots: concurrency }, async (stack) => {
      if (!(await prepareImage())) return;
      const load = { tasks: short ? 8 : 10 * (concurrency + 1), rounds: short ? 1 : 3, slots: concurrency };
      printFigures("Throughput of containers", await measureThroughput(stack, image, load));
    });
  }
}

if (isWanted("plane")) {
  const sizes = short ? [30] : [100, 1000, 10_000];
  await onStack({ workers: 0 }, async (stack) => {
    const figures = await measureControlPlane(stack, { sizes, slots: planeSlots });
    printFigures(`Control plane, one worker of ${planeSlots} slots, ${availableParallelism()} cores`, figures);
  });
}

if (isWanted("images") && (await prepareImage())) {
  await onStack({ workers: 0 }, async (stack) => {
    printFigures("Shipping an image", await measureImages(stack, image, short ? 1 : 300));
  });
}

if (isWanted("sampling") && (await prepareImage())) {
  printFigures("Sampling", await measureSampling(image, short ? 3 : 50, short ? 2_000 : 60_000));
}

if (isWanted("loss")) {
  await onStack({ workers: 2, slots: 1 }, async (stack) => {
    printFigures("Losing a worker", await measureWorkerLoss(stack, short ? 1 : 5));
  });
}

if (isWanted("drain")) {
  // Without Docker in a short run: what is left there would take longest to remove.
  const hasDocker = !short && (await prepareImage());
  printFigures("The end of a worker", await measureDrain(short ? 1 : 5, short ? 2 : 15, hasDocker));
}

if (isWanted("requests")) {
  const env = { NODE_OPTIONS: `--import ${counter}`, SLUICE_REQUEST_COUNTS: countsFile };
  await onStack({ slots, env }, async (stack) => {
    const sizes = short ? [1] : [1, 10, 100, 1000];
    for (const size of sizes) printFigures(`Requests, job of ${size}`, await measureRequests(stack, countsFile, size));
    printFigures("Renewals", await measureRenewals(stack, countsFile, slots, short ? 5_000 : 60_000));
    printFigures("Reads", await measureReads(stack, countsFile, short ? [1, 100] : [10, 10_000]));
  });
}

if (isWanted("console")) {
  const executable = findBrowser();
  if (executable !== undefined) {
    const browser = await startBrowser(executable);
    await onStack({ workers: 0 }, async (stack) => {
      printFigures("The console", await measureConsole(stack, browser, consoleLoad(short)));
    });
    printFigures("The page of a busy job", await measureBusyPage(browser, consoleLoad(short)));
    await browser.close();
  }
}

if (isWanted("cold")) printFigures("Cold start", await measureColdStarts(short ? 1 : 10));

// Only when asked for: it changes a file of the project.
if (only?.includes("cost")) {
  const env = { NODE_OPTIONS: `--import ${counter}`, SLUICE_REQUEST_COUNTS: countsFile };
  await onStack({ slots, env }, async (stack) => {
    const measured = await measureCosts(stack, countsFile, short ? 50 : 500);
    process.stdout.write(`\n${renderCosts(modelCosts(measured))}\n`);
  });
}
await rm(folder, { recursive: true, force: true });

async function onStack(start: StackStart, measure: (stack: RunningStack) => Promise<void>): Promise<void> {
  const stack = await startLocalStack(start);
  try {
    await measure(stack);
  } finally {
    await stack.stop();
    await stack.remove();
  }
}

async function prepareImage(): Promise<boolean> {
  const docker = new Docker();
  try {
    await docker.ping();
    await ensureBusyboxImage(docker);
    return true;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    process.stdout.write(`without container figures: ${detail}\n`);
    return false;
  }
}
