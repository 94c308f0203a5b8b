import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { EventPage, Job, TaskPage, WorkerPage } from "../../shared/api/schemas.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { callApi, step, submit, waitForJob } from "../support/jobs.ts";
import { findFreePort, type RunningStack, startLocalStack } from "../support/local-stack.ts";

let stack: RunningStack | undefined;
let dataDir = "";

afterEach(async () => {
  await stack?.stop();
  stack = undefined;
  await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

/** Each task notes every one of its runs outside its workspace, so that a second completion could be seen. */
function countingJob(marks: string, tasks: number, image?: string) {
  const work = image ? "sleep 1" : `sleep 1; echo run >> "${marks}/$SLUICE_TASK"`;
  return {
    name: "survivor",
    steps: [step({ run: work }, image)],
    tasks: Array.from({ length: tasks }, (_, index) => ({ name: `t${index}` })),
  };
}

async function expectEachCompletedOnce(running: RunningStack, jobId: string, tasks: number): Promise<void> {
  const job = await waitForJob(running, jobId, 200);
  expect(job).toMatchObject({ status: "completed", counts: { completed: tasks, queued: 0, running: 0 } });
  const page = await callApi<TaskPage>(running, `/v1/jobs/${jobId}/tasks?limit=1000`);
  expect(page.tasks.map((task) => task.status)).toEqual(Array.from({ length: tasks }, () => "completed"));
  const { events } = await callApi<EventPage>(running, `/v1/jobs/${jobId}/events?limit=1000`);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
  const completions = events.flatMap((event) =>
    event.type === "task.transition" && event.to === "completed" ? [event.task] : [],
  );
  expect(new Set(completions).size).toBe(tasks);
  expect(completions).toHaveLength(tasks);
  expect(events.at(-1)?.type).toBe("job.ended");
}

async function startJobAndWaitForMiddle(running: RunningStack, spec: ReturnType<typeof countingJob>): Promise<string> {
  const jobId = await submit(running, spec);
  await eventually(async () => {
    const { counts } = await callApi<Job>(running, `/v1/jobs/${jobId}`);
    return counts.completed > 0 && counts.running > 0;
  }, "the job is in its middle");
  return jobId;
}

describe("the whole stack, killed in the middle of its jobs", () => {
  it("ends them after the next start, each task completed once", { timeout: 180_000 }, async (context) => {
    if (!(await needDocker(context))) return;
    dataDir = await mkdtemp(join(tmpdir(), "sluice-kill-"));
    const marks = await mkdtemp(join(dataDir, "marks-"));
    const port = await findFreePort();
    const killed = await startLocalStack({ slots: 6, dataDir, port });
    stack = killed;
    const images = [undefined, "busybox:stable"];
    const jobIds = await Promise.all(
      images.map((image) => startJobAndWaitForMiddle(killed, countingJob(marks, 8, image))),
    );
    await killed.kill();
    stack = await startLocalStack({ slots: 6, dataDir, port });
    for (const jobId of jobIds) await expectEachCompletedOnce(stack, jobId, 8);
    expect(await readdir(marks)).toHaveLength(8);
    const { workers } = await callApi<WorkerPage>(stack, "/v1/workers");
    expect(workers.length).toBeGreaterThan(1);
    await stack.stop();
    for (const { workerId } of workers) expect(await listLeftovers(`sluice.worker=${workerId}`)).toEqual([]);
  });
});

describe("the stack, stopped with Ctrl-C in the middle of a job", () => {
  it("exits 0 and goes on with the job after the next start", { timeout: 180_000 }, async () => {
    dataDir = await mkdtemp(join(tmpdir(), "sluice-stop-"));
    const marks = await mkdtemp(join(dataDir, "marks-"));
    stack = await startLocalStack({ slots: 3, dataDir });
    const jobId = await startJobAndWaitForMiddle(stack, countingJob(marks, 8));
    expect(await stack.stop()).toBe(0);
    stack = await startLocalStack({ slots: 3, dataDir });
    await expectEachCompletedOnce(stack, jobId, 8);
  });
});
