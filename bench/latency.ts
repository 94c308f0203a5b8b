import { setTimeout as sleep } from "node:timers/promises";
import { readFirstLine, step, submit, waitForJob } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { timeBareContainer, timeBareProcess } from "./reference.ts";
import { type Figure, summarize } from "./support/statistics.ts";

/** Between two jobs, so that each finds an idle stack. */
const idleMs = 300;

/**
 * From sending the submit to the first byte of the first step, on an idle stack, by one machine's clock. The step
 * prints at once; its first line carries the time at which the worker read it.
 */
export async function measureLatency(stack: RunningStack, jobs: number, image?: string): Promise<Figure[]> {
  const samples: number[] = [];
  const bare: number[] = [];
  for (let i = 0; i < jobs + 2; i++) {
    await sleep(idleMs);
    const sentAt = Date.now();
    const jobId = await submit(stack, {
      name: "latency",
      steps: [step({ command: ["echo", "started"] }, image)],
      tasks: [{ name: "only" }],
    });
    await waitForJob(stack, jobId);
    const line = await readFirstLine(stack, jobId, "only");
    // The first two warm caches and the pool of prepared networks.
    if (i >= 2) samples.push(Date.parse(line.at) - sentAt);
    if (i >= 2) bare.push(image === undefined ? await timeBareProcess() : await timeBareContainer(image));
  }
  const { median, p99, min, max } = summarize(samples);
  const reference = summarize(bare).median;
  const aimMs = image === undefined ? 60 : 250;
  const what = image === undefined ? "submit → first byte of a host process" : "submit → first byte of a container";
  return [
    {
      name: `${what}, median of ${jobs}`,
      value: `${median} ms (${min} … ${max})`,
      aim: { text: `≤ ${aimMs} ms`, met: median <= aimMs },
    },
    {
      name:
        image === undefined
          ? "a bare spawn → first byte, in turn"
          : "bare Docker, default bridge → first byte, in turn",
      value: `${reference.toFixed(0)} ms (ours : bare ${(median / reference).toFixed(2)})`,
    },
    { name: `${what}, p99`, value: `${p99} ms`, aim: { text: "≤ 1000 ms", met: p99 <= 1000 } },
  ];
}
