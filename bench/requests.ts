import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Job } from "../shared/api/schemas.ts";
import { callApi, step, submit } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import type { Figure } from "./support/statistics.ts";

const flushMs = 300;
/** Longer than the flush of the counts and the pause between two steps of an expansion. */
const quietMs = 1_000;
const readsOfEach = 20;
/** More than any worker of a bench has: tasks of this size wait. */
const waitingSlots = 1_000;
/** Not the calls that are none of AWS, or free of charge: the worker's of the API, and polls of the stream for functions. */
const charged = /^(?!API |.*(?:GetRecords|GetShardIterator|DescribeStream))/;

/** Counts what the stack asks of AWS for one job of no-op tasks, by kind. Needs a stack with the counter preloaded. */
export async function measureRequests(stack: RunningStack, countsFile: string, tasks: number): Promise<Figure[]> {
  await sleep(flushMs);
  writeFileSync(countsFile, "");
  const jobId = await submit(stack, {
    name: "requests",
    steps: [step({ command: ["true"] })],
    tasks: Array.from({ length: tasks }, (_, index) => ({ name: `t${index}` })),
  });
  // Asked rarely: each look at the job is a read too, and is taken off below.
  const lookMs = 500;
  let looks = 0;
  for (const givesUpAt = Date.now() + 300_000; Date.now() < givesUpAt; ) {
    await sleep(lookMs);
    looks += 1;
    const job = await waitForJobOnce(stack, jobId);
    if (job) break;
  }
  await sleep(2 * flushMs);
  const counts = readCounts(countsFile);
  const reads = counts.get("DynamoDB BatchGetItem");
  if (reads !== undefined) counts.set("DynamoDB BatchGetItem", reads - looks);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...counts].sort().map(([name, count]) => `${name} ${(count / tasks).toFixed(2)}`);
  return [
    {
      name: `AWS requests per no-op task, job of ${tasks}`,
      value: `${(total / tasks).toFixed(2)} (${kinds.join(", ")})`,
      aim: { text: "≤ 12", met: total / tasks <= 12 },
    },
  ];
}

/** Counts what one read of a job of each size asks of AWS. Needs a stack as above. */
export async function measureReads(stack: RunningStack, countsFile: string, sizes: readonly number[]) {
  const figures: Figure[] = [];
  for (const tasks of sizes) {
    const jobId = await submit(stack, {
      name: "read",
      steps: [step({ command: ["true"] })],
      tasks: Array.from({ length: tasks }, (_, index) => ({ name: `t${index}`, slots: waitingSlots })),
    });
    await waitUntilQuiet(countsFile);
    writeFileSync(countsFile, "");
    for (let read = 0; read < readsOfEach; read++) await waitForJobOnce(stack, jobId);
    await sleep(2 * flushMs);
    const counts = readCounts(countsFile);
    // Nothing is written for a read: that is a heartbeat of the worker, which may fall between two of them.
    const reads = [...counts].filter(([name]) => name.startsWith("DynamoDB") && name !== "DynamoDB UpdateItem");
    const each = reads.reduce((sum, [, count]) => sum + count, 0) / readsOfEach;
    const kinds = reads.map(([name, count]) => `${name} ${(count / readsOfEach).toFixed(2)}`);
    figures.push({
      name: `AWS requests of one read of a job of ${tasks}`,
      value: `${each.toFixed(2)} (${kinds.join(", ")})`,
      aim: { text: "1", met: each < 1.5 },
    });
  }
  return figures;
}

/**
 * Counts what a worker whose slots are all taken asks for while nothing else happens: heartbeats of the API, the writes
 * of its record and its leases, and renewals of messages, by the minute. Needs a stack of one worker as above.
 */
export async function measureRenewals(stack: RunningStack, countsFile: string, slots: number, windowMs: number) {
  const tasks = Array.from({ length: slots }, (_, index) => ({ name: `t${index}` }));
  const jobId = await submit(stack, { name: "held", steps: [step({ command: ["sleep", "600"] })], tasks });
  await waitUntilRunning(stack, jobId, slots);
  await waitUntilQuiet(countsFile);
  writeFileSync(countsFile, "");
  await sleep(windowMs);
  const counts = readCounts(countsFile, /^(API heartbeat|DynamoDB UpdateItem|AmazonSQS ChangeMessageVisibility.*)$/);
  await callApi(stack, `/v1/jobs/${jobId}/cancel`, {});
  const kinds = [...counts].sort().map(([name, count]) => `${name} ${Math.round((count * 60_000) / windowMs)}`);
  return [{ name: `Heartbeats and renewals per worker and minute, ${slots} tasks held`, value: kinds.join(", ") }];
}

async function waitUntilRunning(stack: RunningStack, jobId: string, tasks: number): Promise<void> {
  for (const givesUpAt = Date.now() + 60_000; Date.now() < givesUpAt; ) {
    const { counts } = await callApi<Job>(stack, `/v1/jobs/${jobId}`);
    if (counts.running === tasks) return;
    await sleep(100);
  }
  throw new Error(`the tasks of ${jobId} did not start in time`);
}

/** Until the stack writes nothing more: the tasks of a large job are created after its submit was answered. */
async function waitUntilQuiet(countsFile: string): Promise<void> {
  for (const givesUpAt = Date.now() + 300_000; Date.now() < givesUpAt; ) {
    writeFileSync(countsFile, "");
    await sleep(quietMs);
    if (![...readCounts(countsFile).keys()].some((name) => /Transact|SendMessage/.test(name))) return;
  }
}

function readCounts(countsFile: string, wanted = charged): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of readFileSync(countsFile, "utf8").split("\n").filter(Boolean)) {
    for (const [name, count] of Object.entries(JSON.parse(line) as Record<string, number>)) {
      if (wanted.test(name)) counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  return counts;
}

async function waitForJobOnce(stack: RunningStack, jobId: string): Promise<boolean> {
  const response = await fetch(`${stack.url}/v1/jobs/${jobId}`, {
    headers: { authorization: `Bearer ${stack.token}` },
    signal: AbortSignal.timeout(10_000),
  });
  const job = (await response.json()) as { status: string };
  return job.status === "completed";
}
