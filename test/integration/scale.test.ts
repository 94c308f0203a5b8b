import { readFileSync } from "node:fs";
import pLimit from "p-limit";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import type { EventPage, Job, TaskPage } from "../../shared/api/schemas.ts";
import { eventually } from "../support/eventually.ts";
import { type InProcessWorker, startInProcessWorker } from "../support/in-process-worker.ts";
import { findEventFaults, watchJob } from "../support/job-watch.ts";
import { callApi, step, submit, waitForJob } from "../support/jobs.ts";
import { type RunningStack, startLocalStack } from "../support/local-stack.ts";

// Tasks run nothing, in the worker's own process: what is tested is the control plane. SLUICE_SCALE=full for all of it.
const full = process.env.SLUICE_SCALE === "full";
const slots = 32;
/** The heap of each process: what grew by a few kilobytes a task would end it in the middle of the large job. */
const heapMegabytes = 192;
/** Heap, code, buffers and what the heap needs for its own work. */
const residentMegabytes = 500;
const testMs = 1_800_000;

let stack: RunningStack;
let worker: InProcessWorker;

beforeAll(async () => {
  const env = { NODE_OPTIONS: `--max-old-space-size=${heapMegabytes}` };
  stack = await startLocalStack({ workers: 0, env });
  worker = await startInProcessWorker(stack, slots, env);
});

afterAll(async () => {
  await worker.stop();
  await stack.stop();
  await stack.remove();
});

function submitNoops(name: string, tasks: number): Promise<string> {
  return submit(stack, {
    name,
    steps: [step({ command: ["true"] })],
    tasks: Array.from({ length: tasks }, (_, index) => ({ name: `t${index}` })),
  });
}

/** Looks at the memory of processes every half second; `peaks` answers the most each had, in MiB. */
function watchMemory(pids: Record<string, number>) {
  const peaks: Record<string, number> = {};
  const timer = setInterval(() => {
    for (const [name, pid] of Object.entries(pids)) {
      const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
      peaks[name] = Math.max(peaks[name] ?? 0, Math.round((pages * 4096) / 2 ** 20));
    }
  }, 500);
  onTestFinished(() => clearInterval(timer));
  return { peaks: () => peaks };
}

const isStart = (event: JobEvent) => event.type === "task.transition" && event.to === "running";

describe("a job of 10,000 tasks", () => {
  it("is exact, small to read and to watch, leaves memory flat and lets a small job pass", {
    timeout: testMs,
  }, async () => {
    const total = 10_000;
    const memory = watchMemory({ ...stack.pids, worker: worker.pid });
    const largeId = await submitNoops("large", total);
    const large = watchJob(stack, largeId);
    await eventually(
      async () => (await callApi<Job>(stack, `/v1/jobs/${largeId}`)).counts.completed > 500,
      "the large job is well under way",
      testMs,
    );
    const smallId = await submitNoops("small", 5);
    const small = await watchJob(stack, smallId);
    const { events, bytes } = await large;

    expect(findEventFaults(events, total)).toEqual([]);
    const job = await callApi<Job>(stack, `/v1/jobs/${largeId}`);
    expect(job).toMatchObject({ status: "completed", counts: { completed: total, queued: 0, running: 0 } });
    expect(job.lastEvent).toBe(events.length);
    expect(JSON.stringify(job).length).toBeLessThan(2_000);

    // One look at a job costs its watcher what has changed since, however large it is.
    expect(bytes / events.length).toBeLessThan(500);
    expect(small.bytes / small.events.length).toBeLessThan(500);

    // The queue gives jobs turns and the worker hoards nothing: few of the large job's tasks start before the small
    // job's last, and not one of those that wait in front of it.
    const submitted = small.events[0]?.at ?? "";
    const lastStart = small.events.filter(isStart).at(-1)?.at ?? "";
    const passed = events.filter((event) => isStart(event) && event.at > submitted && event.at <= lastStart);
    expect(passed.length).toBeLessThan(4 * slots);

    await checkPages(largeId, total, job.lastEvent);
    expect(Object.entries(memory.peaks()).filter(([, peak]) => peak > residentMegabytes)).toEqual([]);
    // None was started again: a process that runs out of memory ends.
    for (const pid of [...Object.values(stack.pids), worker.pid]) expect(process.kill(pid, 0)).toBe(true);
  });
});

/** Lists are as long as was asked for, whatever there is, and pages together hold everything once. */
async function checkPages(jobId: string, total: number, lastEvent: number): Promise<void> {
  const names = new Set<string>();
  for (let cursor: string | undefined = ""; cursor !== undefined; ) {
    const query: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: TaskPage = await callApi<TaskPage>(stack, `/v1/jobs/${jobId}/tasks?limit=1000${query}`);
    expect(page.tasks.length).toBeLessThanOrEqual(1000);
    for (const { task, status } of page.tasks) if (status === "completed") names.add(task);
    cursor = page.cursor;
  }
  expect(names.size).toBe(total);
  const { events } = await callApi<EventPage>(stack, `/v1/jobs/${jobId}/events?after=${lastEvent - 1500}&limit=100`);
  expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 100 }, (_, index) => lastEvent - 1499 + index));
}

describe("200 jobs at once", () => {
  it("are each exact", { timeout: testMs }, async () => {
    const tasks = full ? 50 : 8;
    const limit = pLimit(8);
    const jobIds = await Promise.all(
      Array.from({ length: 200 }, (_, i) => limit(() => submitNoops(`job-${i}`, tasks))),
    );
    const faults = await Promise.all(
      jobIds.map((jobId) =>
        limit(async () => {
          const job = await waitForJob(stack, jobId, 500);
          const exact = job.status === "completed" && job.total === tasks && job.counts.completed === tasks;
          const { events } = await callApi<EventPage>(stack, `/v1/jobs/${jobId}/events?limit=1000`);
          return [...(exact ? [] : [`${jobId}: ${JSON.stringify(job.counts)}`]), ...findEventFaults(events, tasks)];
        }),
      ),
    );
    expect(faults.flat()).toEqual([]);
  });
});
