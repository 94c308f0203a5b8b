import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Docker from "dockerode";
import { ensureBusyboxImage } from "../test/support/docker-images.ts";
import { startLocalStack } from "../test/support/local-stack.ts";
import { measureIdle } from "./idle.ts";
import { measureLatency } from "./latency.ts";
import { measureRequests } from "./requests.ts";
import { printFigures } from "./support/statistics.ts";
import { measureProcessThroughput, measureThroughput } from "./throughput.ts";

/** `npm run bench` prints the figures; `npm run bench -- --short` runs each measurement once, quickly, as a check. */
const { values } = parseArgs({ options: { short: { type: "boolean", default: false } } });
const short = values.short;
const slots = 4;
const image = "busybox:stable";

const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
const countsFile = join(folder, "requests.jsonl");
const counter = fileURLToPath(new URL("./support/count-requests.mjs", import.meta.url));

const plain = await startLocalStack({ slots });
try {
  printFigures("Idle, freshly started", await measureIdle(plain, short ? 2 : 15));
  const hasImage = await prepareImage();
  printFigures("Latency", [
    ...(await measureLatency(plain, short ? 3 : 30)),
    ...(hasImage ? await measureLatency(plain, short ? 3 : 30, image) : []),
  ]);
  printFigures("Throughput", [
    ...(hasImage ? await measureThroughput(plain, image, { tasks: short ? 8 : 40, rounds: short ? 1 : 3, slots }) : []),
    ...(await measureProcessThroughput(plain, short ? [50] : [100, 1000, 5000])),
  ]);
} finally {
  await plain.stop();
  await plain.remove();
}

const counted = await startLocalStack({
  slots,
  env: { NODE_OPTIONS: `--import ${counter}`, SLUICE_REQUEST_COUNTS: countsFile },
});
try {
  const sizes = short ? [1] : [1, 10, 100, 1000];
  for (const size of sizes) printFigures(`Requests, job of ${size}`, await measureRequests(counted, countsFile, size));
} finally {
  await counted.stop();
  await counted.remove();
  await rm(folder, { recursive: true, force: true });
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
