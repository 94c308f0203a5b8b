import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { MeasuredRequests } from "../shared/domain/cost/cost-model.ts";
import { createControlPlane, noopJob, startEmbeddedCloud, taskNames } from "../test/support/control-plane.ts";
import { step, submit, waitForJob } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";

const measuredFile = fileURLToPath(new URL("../shared/domain/cost/measured-requests.json", import.meta.url));
const flushMs = 300;

/** Capacity units that the table took, by what it took them for. */
interface Units {
  dynamoDbWriteUnits: number;
  dynamoDbReadUnits: number;
}

/** Counts what tasks, heartbeats and idle sweeps ask of AWS, on the real code, and keeps it for the cost model. */
export async function measureCosts(stack: RunningStack, countsFile: string, tasks: number): Promise<MeasuredRequests> {
  const units = await measureUnits(tasks);
  const requests = await countRequests(stack, countsFile, tasks);
  const measured: MeasuredRequests = {
    measuredOn: new Date().toISOString().slice(0, 10),
    tasks,
    perTask: { ...perTask(units.job, tasks), ...requests },
    perHeartbeat: round(units.heartbeat),
    perIdleSweep: { dynamoDbReadUnits: round(units.sweep).dynamoDbReadUnits },
  };
  writeFileSync(measuredFile, `${JSON.stringify(measured, undefined, 2)}\n`);
  return measured;
}

/** DynamoDB tells the units of each request: those of a job from its submit to its end, of a heartbeat, of a sweep. */
async function measureUnits(tasks: number): Promise<Record<"job" | "heartbeat" | "sweep", Units>> {
  const cloud = await startEmbeddedCloud();
  const plane = await createControlPlane(cloud);
  let taken: Units = { dynamoDbWriteUnits: 0, dynamoDbReadUnits: 0 };
  plane.requests.intercept(async ({ service, writes, input }, send) => {
    if (service !== "dynamodb") return send();
    input.ReturnConsumedCapacity = "TOTAL";
    const answer = (await send()) as { output?: { ConsumedCapacity?: unknown } };
    const consumed = [answer.output?.ConsumedCapacity ?? []].flat() as { CapacityUnits?: number }[];
    const sum = consumed.reduce((total, { CapacityUnits = 0 }) => total + CapacityUnits, 0);
    taken[writes ? "dynamoDbWriteUnits" : "dynamoDbReadUnits"] += sum;
    return answer;
  });
  const take = async (work: () => Promise<unknown>): Promise<Units> => {
    taken = { dynamoDbWriteUnits: 0, dynamoDbReadUnits: 0 };
    await work();
    return taken;
  };
  try {
    const worker = plane.createWorker();
    const job = await take(async () => {
      await plane.submit(noopJob(taskNames(tasks)));
      await plane.foldAll();
      await worker.runAll();
      await plane.foldAll();
    });
    await worker.register();
    await plane.submit(noopJob(["held"]));
    const held = await worker.claimOne();
    await plane.foldAll();
    // Its first one is the start of its life, which is written otherwise.
    await worker.beat([held]);
    const heartbeat = await take(() => worker.beat([held]));
    const sweep = await take(() => plane.sweep());
    return { job, heartbeat, sweep };
  } finally {
    plane.close();
    await cloud.stop();
  }
}

/** What the whole stack asks of queue, bucket and API for one job; looks at the job's progress are not the job's. */
async function countRequests(stack: RunningStack, countsFile: string, tasks: number) {
  await sleep(flushMs);
  writeFileSync(countsFile, "");
  const spec = {
    name: "cost",
    steps: [step({ command: ["echo", "done"] })],
    tasks: taskNames(tasks).map((name) => ({ name })),
  };
  await waitForJob(stack, await submit(stack, spec), 500);
  await sleep(2 * flushMs);
  const counts = new Map<string, number>();
  for (const line of readFileSync(countsFile, "utf8").split("\n").filter(Boolean)) {
    for (const [name, count] of Object.entries(JSON.parse(line) as Record<string, number>)) {
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  const count = (pattern: RegExp) =>
    toTwoDigits([...counts].reduce((sum, [name, n]) => sum + (pattern.test(name) ? n : 0), 0) / tasks);
  return {
    sqsRequests: count(/^AmazonSQS /),
    s3Puts: count(/^S3 (PUT|POST)$/),
    s3Gets: count(/^S3 (GET|HEAD)$/),
    apiCalls: count(/^API (?!heartbeat)/),
  };
}

function perTask({ dynamoDbWriteUnits, dynamoDbReadUnits }: Units, tasks: number): Units {
  return round({ dynamoDbWriteUnits: dynamoDbWriteUnits / tasks, dynamoDbReadUnits: dynamoDbReadUnits / tasks });
}

function round({ dynamoDbWriteUnits, dynamoDbReadUnits }: Units): Units {
  return {
    dynamoDbWriteUnits: toTwoDigits(dynamoDbWriteUnits),
    dynamoDbReadUnits: toTwoDigits(dynamoDbReadUnits),
  };
}

function toTwoDigits(value: number): number {
  return Number(value.toFixed(2));
}
