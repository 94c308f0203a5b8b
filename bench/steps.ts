import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { readTask, step, submit, waitForJob } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { type Figure, summarize } from "./support/statistics.ts";

const runFile = promisify(execFile);
/** Between two jobs, so that each finds an idle stack. */
const idleMs = 300;
const stepsPerTask = 4;

/** Milliseconds that `docker run --rm` takes for a container on the default bridge that does nothing. */
async function timeDockerRun(image: string): Promise<number> {
  const startedAt = performance.now();
  await runFile("docker", ["run", "--rm", image, "true"]);
  return performance.now() - startedAt;
}

/** From the claim to the end of the first step, and from the end of each step to that of the next, in milliseconds. */
async function timeSteps(stack: RunningStack, image: string): Promise<{ first: number; further: number[] }> {
  const jobId = await submit(stack, {
    name: "steps",
    steps: Array.from({ length: stepsPerTask }, () => step({ command: ["true"] }, image)),
    tasks: [{ name: "only" }],
  });
  await waitForJob(stack, jobId);
  const { attempts } = await readTask(stack, jobId, "only");
  const { claimedAt, steps = [] } = attempts[0] ?? {};
  const times = [claimedAt, ...steps.map(({ endedAt }) => endedAt)].map((at) => Date.parse(at ?? ""));
  const [first = Number.NaN, ...further] = times.slice(1).map((at, index) => at - (times[index] ?? Number.NaN));
  return { first, further };
}

/** Steps in a network that their task has for itself, against `docker run --rm` on the default bridge, in turn. */
export async function measureSteps(stack: RunningStack, image: string, tasks: number): Promise<Figure[]> {
  const first: number[] = [];
  const further: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < tasks + 2; round++) {
    await sleep(idleMs);
    const timed = await timeSteps(stack, image);
    await sleep(idleMs);
    const bareMs = await timeDockerRun(image);
    // The first two warm caches and the pool of prepared networks.
    if (round < 2) continue;
    first.push(timed.first);
    further.push(...timed.further);
    bare.push(bareMs);
  }
  const reference = summarize(bare).median;
  const describe = (name: string, samples: number[], aim: number): Figure => {
    const { median, min, max, count } = summarize(samples);
    const ratio = median / reference;
    return {
      name: `${name}, median of ${count}`,
      value: `${median.toFixed(0)} ms (${min} … ${max}), ${ratio.toFixed(2)} × docker run --rm`,
      aim: { text: `≤ ${aim}`, met: ratio <= aim },
    };
  };
  return [
    { name: `docker run --rm, default bridge, median of ${bare.length}`, value: `${reference.toFixed(0)} ms` },
    describe("first step of a task, claim → exit", first, 1),
    describe("each further step, exit → exit", further, 0.6),
  ];
}
