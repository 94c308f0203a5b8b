import { afterEach, describe, expect, it } from "vitest";
import type { Job } from "../../shared/api/schemas.ts";
import { createApiClient } from "../../shared/api-client/index.ts";
import { findByRole, type ProcessEntry, type StackRole, signalProcess } from "../support/chaos/processes.ts";
import { eventually } from "../support/eventually.ts";
import { callApi, step, submit, waitForJob } from "../support/jobs.ts";
import { type RunningStack, startLocalStack } from "../support/local-stack.ts";

let stack: RunningStack | undefined;

afterEach(async () => {
  await stack?.stop();
  await stack?.remove();
  stack = undefined;
});

async function killRole(running: RunningStack, role: StackRole): Promise<ProcessEntry> {
  const [found] = findByRole(running.pid, role);
  if (!found) throw new Error(`no process of the stack is its ${role}`);
  signalProcess(found.pid, "SIGKILL");
  return found;
}

const talkerLines = 600;

/** A task that prints its way through the kills, and every line of it as a follower gets them. */
async function followTalker({ url, token, ...running }: RunningStack): Promise<string[]> {
  const run = `i=0; while [ $i -lt ${talkerLines} ]; do echo "$i"; i=$((i+1)); sleep 0.02; done`;
  const jobId = await submit(
    { url, token, ...running },
    { name: "talker", steps: [step({ run })], tasks: [{ name: "t" }] },
  );
  const lines: string[] = [];
  for await (const { line } of createApiClient({ url, token }).followLog(jobId, "t")) lines.push(line.text);
  return lines;
}

describe("a local stack that is started for the first time", () => {
  // Twice each: the second start of a process is the one that has to know what the first one was given.
  it.for(["cloud", "dynamodb", "functions"] as const)(
    "goes on with its jobs when its %s process is killed, and killed again",
    { timeout: 180_000 },
    async (role) => {
      stack = await startLocalStack({ slots: 2 });
      const followed = followTalker(stack);
      const jobId = await submit(stack, {
        name: "survivor",
        steps: [step({ run: "sleep 0.5" })],
        tasks: Array.from({ length: 10 }, (_, index) => ({ name: `t${index}` })),
      });
      for (const completed of [1, 4]) {
        const running = stack;
        await eventually(async () => {
          const { counts } = await callApi<Job>(running, `/v1/jobs/${jobId}`);
          return counts.completed >= completed;
        }, `${completed} tasks completed`);
        const dead = await killRole(running, role);
        await eventually(async () => {
          const [next] = findByRole(running.pid, role);
          return next && next.pid !== dead.pid;
        }, `another ${role}`);
      }
      const job = await eventually(() => waitForJob(stack as RunningStack, jobId), "the end of the job", 120_000);
      expect(job).toMatchObject({ status: "completed", counts: { completed: 10, queued: 0, running: 0 } });
      expect(await followed).toEqual(Array.from({ length: talkerLines }, (_, index) => String(index)));
    },
  );
});
