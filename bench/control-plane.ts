import { randomUUID } from "node:crypto";
import { CreateQueueCommand, DeleteQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";
import { createQueue, queueBatchSize } from "../shared/clients/queue.ts";
import { startInProcessWorker } from "../test/support/in-process-worker.ts";
import { step, submit, waitForJob } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { readCpuMs } from "./support/process-stats.ts";
import type { Figure } from "./support/statistics.ts";

const warmUpTasks = 200;

/**
 * Tasks that do nothing, through the whole control plane with one worker that runs them in its own process, against
 * messages through a bare sqs-consumer loop on the same embedded SQS, in turn. Needs a stack without workers.
 */
export async function measureControlPlane(
  stack: RunningStack,
  options: { sizes: readonly number[]; slots: number },
): Promise<Figure[]> {
  const worker = await startInProcessWorker(stack, options.slots);
  try {
    await runTasks(stack, Math.min(warmUpTasks, options.sizes[0] ?? 1));
    const figures: Figure[] = [];
    for (const size of options.sizes) {
      const bare = await runBareLoop(stack, Math.min(size, 2_000));
      const pids = Object.entries({ ...stack.pids, worker: worker.pid });
      const before = pids.map(([, pid]) => readCpuMs(pid));
      const ours = await runTasks(stack, size);
      const cpu = pids.map(([name, pid], index) => ({ name, ms: (readCpuMs(pid) - (before[index] ?? 0)) / size }));
      figures.push(...describe(size, ours, bare, cpu));
    }
    return figures;
  } finally {
    await worker.stop();
  }
}

function describe(size: number, ours: number, bare: number, cpu: readonly { name: string; ms: number }[]): Figure[] {
  const ratio = ours / bare;
  const total = cpu.reduce((sum, { ms }) => sum + ms, 0);
  const shares = cpu.map(({ name, ms }) => `${name} ${ms.toFixed(1)}`).join(", ");
  return [
    {
      name: `no-op tasks/s in the worker's process : bare sqs-consumer, job of ${size}`,
      value: `${ratio.toFixed(2)} (${ours.toFixed(1)} : ${bare.toFixed(1)})`,
      aim: { text: "≥ 0.25", met: ratio >= 0.25 },
    },
    {
      name: `  bounded by the CPU of all processes, job of ${size}`,
      value: `${total.toFixed(1)} ms a task (${shares})`,
    },
  ];
}

async function runTasks(stack: RunningStack, tasks: number): Promise<number> {
  const startedAt = performance.now();
  const jobId = await submit(stack, {
    name: "noop",
    steps: [step({ command: ["true"] })],
    tasks: Array.from({ length: tasks }, (_, index) => ({ name: `t${index}` })),
  });
  const job = await waitForJob(stack, jobId, 250);
  if (job.counts.completed !== tasks) throw new Error(`${jobId}: ${JSON.stringify(job.counts)}`);
  return (tasks * 1000) / (performance.now() - startedAt);
}

/** Messages a second that are sent, received in batches of ten, handled by doing nothing, and deleted. */
async function runBareLoop({ aws }: RunningStack, messages: number): Promise<number> {
  const { accessKeyId, secretAccessKey } = aws;
  const sqs = new SQSClient({
    endpoint: aws.sqs,
    region: aws.region,
    credentials: { accessKeyId, secretAccessKey },
  });
  const created = await sqs.send(new CreateQueueCommand({ QueueName: `bare-${randomUUID()}` }));
  const queueUrl = created.QueueUrl ?? "";
  const done = Promise.withResolvers<void>();
  let left = messages;
  const startedAt = performance.now();
  await createQueue(sqs, queueUrl).send(
    Array.from({ length: messages }, (_, index) => ({ body: `{"task":"t${index}"}`, groupId: "bare" })),
  );
  const consumer = Consumer.create({
    queueUrl,
    sqs,
    batchSize: queueBatchSize,
    handleMessage: async (message) => message,
  });
  consumer.on("message_processed", () => {
    left -= 1;
    if (left === 0) done.resolve();
  });
  consumer.on("error", done.reject);
  consumer.start();
  try {
    await done.promise;
    return (messages * 1000) / (performance.now() - startedAt);
  } finally {
    consumer.stop({ abort: true });
    await sqs.send(new DeleteQueueCommand({ QueueUrl: queueUrl }));
    sqs.destroy();
  }
}
