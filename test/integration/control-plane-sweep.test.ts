import { describe, expect, it } from "vitest";
import { sweepDue } from "../../functions/schedules/sweep.ts";
import type { Job, Task } from "../../shared/api/schemas.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { maxInfrastructureAttempts, timing } from "../../shared/domain/timing.ts";
import { type ItemKey, workerIdOf } from "../../shared/repository/keys.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed, type FakeWorker, failedByInfrastructure } from "../support/control-plane-worker.ts";

const plane = useControlPlane({ pools: ["default", "closing"] });
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const readTask = (jobId: string, task: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);

/** Everything the sweep would still have to look at, in a hundred years. */
/** What is due or will be, but for live workers: those always are. */
async function listDue(): Promise<ItemKey[]> {
  const keys: ItemKey[] = [];
  const farMs = plane().clock.now() + 100 * 365 * 24 * hourMs;
  for await (const page of plane().deps.jobs.eachDuePage(farMs, 100)) keys.push(...page);
  return keys.filter((key) => workerIdOf(key) === undefined);
}

/** Takes every message away for good; answers how many there were. */
async function loseMessages(): Promise<number> {
  const queue = plane().deps.pools.get("default")?.queue;
  for (let lost = 0; ; ) {
    const messages = (await queue?.receive({ maxMessages: 10, waitSeconds: 0 })) ?? [];
    if (messages.length === 0) return lost;
    await queue?.delete(messages.map((message) => message.receiptHandle));
    lost += messages.length;
  }
}

async function runEverything(worker: FakeWorker = plane().createWorker()): Promise<void> {
  await worker.runAll();
  await plane().foldAll();
}

describe("the sweep", () => {
  it("folds what no trigger was seen for", async () => {
    const jobId = await plane().submit(noopJob(taskNames(5)));
    await plane().createWorker().runAll();
    expect(await readJob(jobId)).toMatchObject({ status: "queued" });
    plane().clock.advance(minuteMs);
    expect(await plane().sweep()).toMatchObject({ folded: 5, failed: 0 });
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 5 } });
    expect(await listDue()).toEqual([]);
  });

  it("folds what no trigger was seen for also while the task runs on and its worker renews the lease", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    await worker.register();
    const claimed = await worker.claimOne();
    for (let beats = 0; beats < 15; beats++) {
      plane().clock.advance(timing.heartbeatMs);
      await worker.beat([claimed]);
    }
    await plane().sweep();
    expect(await readJob(jobId)).toMatchObject({ status: "running", counts: { running: 1 } });
  });

  it("leaves nothing due for a job that has ended, also where the note of its dispatch came late", async () => {
    const jobId = await plane().submit(noopJob(taskNames(3), { timeoutMs: 10 * minuteMs }));
    const digest = await plane().deps.jobs.getDigest(jobId);
    await runEverything();
    if (digest) await plane().deps.jobs.noteDispatched(digest);
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
    expect(await listDue()).toEqual([]);
  });

  it("does not let one thing that fails keep it from the rest, however much comes before", async () => {
    for (let count = 0; count < 5; count++) await plane().submit(noopJob(["a"], { pool: "closing" }));
    const jobId = await plane().submit(noopJob(["a"]));
    await plane().createWorker().runAll();
    const process = plane().startProcess();
    const pools = new Map([...process.pools].filter(([name]) => name !== "closing"));
    plane().clock.advance(2 * minuteMs);
    expect(await sweepDue({ ...process, pools }, minuteMs, { pageSize: 2 })).toMatchObject({ folded: 1, failed: 5 });
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
  });

  it("stops when its time is up", async () => {
    const jobId = await plane().submit(noopJob(taskNames(3)));
    await plane().createWorker().runAll();
    plane().clock.advance(minuteMs);
    expect(await plane().sweep(-1)).toMatchObject({ folded: 0 });
    expect(await readJob(jobId)).toMatchObject({ status: "queued" });
  });
});

describe("the sweep, on attempts", () => {
  it("leaves an attempt alone whose lease lasts, and looks again later", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    await worker.register();
    const claimed = await worker.claimOne();
    await plane().foldAll();
    for (let minutes = 0; minutes < 3; minutes++) {
      for (let beats = 0; beats < 12; beats++) {
        plane().clock.advance(timing.heartbeatMs);
        await worker.beat([claimed]);
      }
      expect(await plane().sweep()).toMatchObject({ rescued: 0, failed: 0 });
      expect(await plane().sweep()).toEqual({
        folded: 0,
        chores: 0,
        dispatched: 0,
        timedOut: 0,
        rescued: 0,
        workersLost: 0,
        blobsRemoved: 0,
        failed: 0,
      });
    }
    expect(await readTask(jobId, "a")).toMatchObject({ status: "running", attempt: 1 });
  });

  it("puts a task back whose worker fell silent and whose message is lost, so that another runs it", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await plane().createWorker().claimOne();
    plane().clock.advance(timing.leaseMs + 2 * minuteMs);
    expect(await plane().sweep()).toMatchObject({ rescued: 1, failed: 0 });
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ counts: { queued: 1, running: 0 } });
    expect(await readTask(jobId, "a")).toMatchObject({ attempts: [{ outcome: { reason: { code: "worker_lost" } } }] });
    await runEverything();
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 1 } });
    expect(await listDue()).toEqual([]);
  });

  it("ends a cancelled task whose worker fell silent, though no worker is left to ask for it", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await plane().createWorker().claimOne();
    await plane().call(`/v1/jobs/${jobId}/cancel`, { body: {} });
    await plane().foldAll();
    plane().clock.advance(timing.leaseMs + 2 * minuteMs);
    await plane().sweep();
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "aborted", counts: { aborted: 1 } });
    expect(await listDue()).toEqual([]);
  });
});

describe("a task that waits again and whose message is lost", () => {
  const retry = { kind: "released", reason: reasonFor("drained", "the worker drains") } as const;

  it("is announced a minute later, and again after ever longer times, until somebody claims it", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    expect(await worker.report(await worker.claimOne(), retry)).toEqual({ status: "retry", retryAfterSeconds: 0 });
    await plane().foldAll();
    const announcedAfter: number[] = [];
    for (let minutes = 1; minutes <= 63; minutes++) {
      await loseMessages();
      plane().clock.advance(minuteMs);
      if ((await plane().sweep()).dispatched > 0) announcedAfter.push(minutes);
    }
    expect(announcedAfter).toEqual([1, 3, 7, 15, 31, 63]);
    expect(await worker.claimOne()).toMatchObject({ jobId, attempt: 2 });
    await plane().foldAll();
    expect(await plane().deps.tasks.get(jobId, 0, "a")).not.toHaveProperty("announce");
  });

  it("is not announced before its retry is due", async () => {
    await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    let retryAfterSeconds = 0;
    for (let attempt = 1; attempt < maxInfrastructureAttempts; attempt++) {
      const claimed = await worker.claimOne();
      const answer = await worker.report(claimed, failedByInfrastructure());
      retryAfterSeconds = answer.status === "retry" ? answer.retryAfterSeconds : 0;
      await loseMessages();
      if (attempt === maxInfrastructureAttempts - 1) break;
      await plane().foldAll();
      plane().clock.advance(retryAfterSeconds * 1000 + timing.announceAgainMs);
      expect(await plane().sweep()).toMatchObject({ dispatched: 1 });
    }
    expect(retryAfterSeconds).toBe(8);
    await plane().foldAll();
    plane().clock.advance(timing.announceAgainMs + retryAfterSeconds * 1000 - 1);
    expect(await plane().sweep()).toMatchObject({ dispatched: 0 });
    plane().clock.advance(1);
    expect(await plane().sweep()).toMatchObject({ dispatched: 1 });
  });

  it("is announced though no trigger counted its way back", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    await worker.report(await worker.claimOne(), retry);
    await loseMessages();
    plane().clock.advance(minuteMs);
    expect(await plane().sweep()).toMatchObject({ folded: 1, dispatched: 1 });
    expect(await worker.runAll()).toBe(1);
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
    expect(await listDue()).toEqual([]);
  });

  it("leaves nothing due where it is cancelled while it waits", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    await worker.report(await worker.claimOne(), retry);
    await plane().foldAll();
    await plane().call(`/v1/jobs/${jobId}/tasks/a/cancel`, { body: {} });
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "aborted" });
    expect(await listDue()).toEqual([]);
  });
});

describe("the sweep, on jobs", () => {
  it("announces the tasks of a job whose submit ended before it could, once", async () => {
    plane().requests.intercept(async ({ service }, send) => {
      if (service === "sqs") throw new Error("the queue is away");
      return send();
    });
    const jobId = await plane().submit(noopJob(taskNames(12)));
    plane().requests.intercept(undefined);
    plane().clock.advance(2 * minuteMs);
    expect(await plane().sweep()).toMatchObject({ dispatched: 12 });
    expect(await plane().sweep()).toMatchObject({ dispatched: 0 });
    await runEverything();
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 12 } });
  });

  it("announces the waiting tasks of a job again in which nothing moved for long, for their messages may be lost", async () => {
    const jobId = await plane().submit(noopJob(taskNames(3)));
    const worker = plane().createWorker();
    await worker.report(await worker.claimOne(), completed());
    await plane().foldAll();
    plane().clock.advance(2 * minuteMs);
    await plane().sweep();
    await loseMessages();
    const announced: number[] = [];
    for (let hours = 0; hours < 5; hours++) {
      plane().clock.advance(hourMs);
      announced.push((await plane().sweep()).dispatched);
    }
    // The first look sees moves since the submit; the second, none since the first; the third comes two hours later.
    expect(announced).toEqual([0, 2, 0, 2, 0]);
    await runEverything();
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
  });

  it("does not announce again what waits in a job in which others run", async () => {
    await plane().submit(noopJob(taskNames(30)));
    const worker = plane().createWorker();
    plane().clock.advance(2 * minuteMs);
    await plane().sweep();
    for (let hours = 0; hours < 6; hours++) {
      const claimed = await worker.claimOne();
      await worker.report(claimed, {
        kind: "ended",
        outcome: { state: "completed" },
        steps: [],
        logs: [],
        artifacts: [],
      });
      await plane().foldAll();
      plane().clock.advance(hourMs);
      expect(await plane().sweep()).toMatchObject({ dispatched: 0 });
    }
  });

  it("ends a job that ran longer than its timeout: what waits at once, what runs by its worker", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"], { timeoutMs: 5 * minuteMs }));
    const worker = plane().createWorker();
    await worker.register();
    const claimed = await worker.claimOne();
    for (let beats = 0; beats < 70; beats++) {
      plane().clock.advance(timing.heartbeatMs);
      await worker.beat([claimed]);
    }
    expect(await plane().sweep()).toMatchObject({ timedOut: 1 });
    await plane().foldAll();
    const [waiting = ""] = ["a", "b"].filter((task) => task !== claimed.task);
    expect(await readTask(jobId, waiting)).toMatchObject({ status: "timed_out", reason: { code: "timed_out" } });
    expect(await worker.beat([claimed])).toMatchObject({ attempts: [{ cancel: { cause: "job_timeout" } }] });
    await worker.report(claimed, {
      kind: "released",
      reason: { code: "drained", detail: "", fault: "infrastructure" },
    });
    await plane().foldAll();
    expect(await readTask(jobId, claimed.task)).toMatchObject({ status: "timed_out" });
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { timed_out: 2 } });
    expect(await listDue()).toEqual([]);
  });
});
