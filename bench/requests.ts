import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { step, submit } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import type { Figure } from "./support/statistics.ts";

const flushMs = 300;
/** Calls that do not grow with tasks: polls of the stream (free of charge to functions) and waiting receives. */
const background = /GetRecords|GetShardIterator|DescribeStream/;

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
  const counts = new Map<string, number>();
  for (const line of readFileSync(countsFile, "utf8").split("\n").filter(Boolean)) {
    for (const [name, count] of Object.entries(JSON.parse(line) as Record<string, number>)) {
      if (!background.test(name)) counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
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

async function waitForJobOnce(stack: RunningStack, jobId: string): Promise<boolean> {
  const response = await fetch(`${stack.url}/v1/jobs/${jobId}`, {
    headers: { authorization: `Bearer ${stack.token}` },
    signal: AbortSignal.timeout(10_000),
  });
  const job = (await response.json()) as { status: string };
  return job.status === "completed";
}
