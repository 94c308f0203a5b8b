import { randomUUID } from "node:crypto";
import Docker from "dockerode";
import pLimit from "p-limit";
import { step, submit, waitForJob } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { type Figure, summarize } from "./support/statistics.ts";

/**
 * Containers per second of a bare loop over the Docker API: create, start, wait, remove; on the default bridge, or each
 * on a network made for it alone.
 */
async function runBareLoop(image: string, tasks: number, concurrency: number, hasNetwork: boolean): Promise<number> {
  const docker = new Docker();
  const limit = pLimit(concurrency);
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: tasks }, () =>
      limit(async () => {
        const network = hasNetwork ? await docker.createNetwork({ Name: `bench-${randomUUID()}` }) : undefined;
        const HostConfig = network === undefined ? {} : { NetworkMode: network.id };
        const container = await docker.createContainer({ Image: image, Cmd: ["true"], HostConfig });
        await container.start();
        await container.wait();
        await container.remove();
        await network?.remove();
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

/** No-op container tasks per second, each in a network of its own, against bare loops at the same concurrency, in turn. */
export async function measureThroughput(
  stack: RunningStack,
  image: string,
  options: { tasks: number; rounds: number; slots: number },
): Promise<Figure[]> {
  const { tasks, rounds, slots } = options;
  const rates = { ours: [] as number[], withNetwork: [] as number[], without: [] as number[] };
  // Networks are made ahead once a worker has been there for a while.
  await runTasks(stack, slots, image);
  for (let round = 0; round < rounds; round++) {
    rates.withNetwork.push(await runBareLoop(image, Math.ceil(tasks / 2), slots, true));
    rates.ours.push(await runTasks(stack, tasks, image));
    rates.without.push(await runBareLoop(image, tasks, slots, false));
  }
  const against = (name: string, bare: readonly number[], aim: number): Figure => {
    const { median } = summarize(rates.ours.map((rate, round) => rate / (bare[round] ?? Number.NaN)));
    const pairs = rates.ours.map((rate, round) => `${rate.toFixed(1)} : ${bare[round]?.toFixed(1)}`);
    return {
      name: `no-op container tasks/s : bare Docker loop ${name}, ${slots} at once`,
      value: `${median.toFixed(2)} (${pairs.join(", ")})`,
      aim: { text: `≥ ${aim}`, met: median >= aim },
    };
  };
  return [against("with a network each", rates.withNetwork, 1.5), against("on the default bridge", rates.without, 0.9)];
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
