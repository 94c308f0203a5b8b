import Docker from "dockerode";
import pLimit from "p-limit";
import { step, submit, waitForJob } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import type { Figure } from "./support/statistics.ts";

/** Containers per second of a bare loop over the Docker API: create, start, wait, remove on the default bridge. */
async function runBareLoop(image: string, tasks: number, concurrency: number): Promise<number> {
  const docker = new Docker();
  const limit = pLimit(concurrency);
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: tasks }, () =>
      limit(async () => {
        const container = await docker.createContainer({ Image: image, Cmd: ["true"] });
        await container.start();
        await container.wait();
        await container.remove();
      }),
    ),
  );
  return (tasks * 1000) / (performance.now() - startedAt);
}

async function runTasks(stack: RunningStack, tasks: number, image?: string): Promise<number> {
  const startedAt = performance.now();
  const jobId = await submit(stack, {
    name: "throughput",
    steps: [step({ command: ["true"] }, image)],
    tasks: Array.from({ length: tasks }, (_, index) => ({ name: `t${index}` })),
  });
  const job = await waitForJob(stack, jobId);
  if (job.counts.completed !== tasks) throw new Error(`${jobId}: ${JSON.stringify(job.counts)}`);
  return (tasks * 1000) / (performance.now() - startedAt);
}

/** No-op container tasks per second against a bare loop at the same concurrency, in turn. */
export async function measureThroughput(
  stack: RunningStack,
  image: string,
  options: { tasks: number; rounds: number; slots: number },
): Promise<Figure[]> {
  const ratios: number[] = [];
  const rates: string[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const bare = await runBareLoop(image, options.tasks, options.slots);
    const ours = await runTasks(stack, options.tasks, image);
    ratios.push(ours / bare);
    rates.push(`${ours.toFixed(1)} : ${bare.toFixed(1)}`);
  }
  ratios.sort((a, b) => a - b);
  const median = ratios[Math.floor(ratios.length / 2)] ?? 0;
  return [
    {
      name: `no-op container tasks/s : bare Docker loop, ${options.slots} at once`,
      value: `${median.toFixed(2)} (${rates.join(", ")})`,
      aim: { text: "≥ 0.7", met: median >= 0.7 },
    },
  ];
}

/** No-op host-process tasks per second, for small and large jobs. */
export async function measureProcessThroughput(stack: RunningStack, sizes: readonly number[]): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const size of sizes) {
    const rate = await runTasks(stack, size);
    figures.push({ name: `no-op host-process tasks/s, job of ${size}`, value: rate.toFixed(1) });
  }
  return figures;
}
