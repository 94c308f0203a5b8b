import { describe, expect, it } from "vitest";
import type { DeadLetter, DeadLetterPage, Job, Redrive, Task } from "../../shared/api/schemas.ts";
import { maxReceiveCount, timing } from "../../shared/domain/timing.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { failedWith, released } from "../support/control-plane-worker.ts";
import { auditJob, readJobRecords } from "../support/job-audit.ts";

const plane = useControlPlane({ pools: ["default", "other"] });
const readTask = (jobId: string, task: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);
const list = (query = "") => plane().call<DeadLetterPage>(`/v1/admin/dead-letters?pool=default${query}`);
const redrive = (body: object) => plane().call<Redrive>("/v1/admin/redrive", { body: { pool: "default", ...body } });

function queue() {
  const pool = plane().deps.pools.get("default");
  if (!pool) throw new Error("there is no pool");
  return pool.queue;
}

/** Receives what waits in the queue, and puts it back, as often as it takes to get all of it out of the queue. */
async function receiveTooOften(): Promise<void> {
  for (let receives = 0; receives <= maxReceiveCount; receives++) {
    const handles: string[] = [];
    for (;;) {
      const messages = await queue().receive({ maxMessages: 10, waitSeconds: 0 });
      if (messages.length === 0) break;
      handles.push(...messages.map(({ receiptHandle }) => receiptHandle));
    }
    await queue().changeVisibility(handles, 0);
  }
}

async function deadLetterAll(): Promise<number> {
  await receiveTooOften();
  const settled = await plane().settleDeadLetters();
  await plane().foldAll();
  return settled;
}

describe("a dead letter", () => {
  it("fails the task that waited all along, says why, and is kept", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    expect(await deadLetterAll()).toBe(1);
    const task = await readTask(jobId, "a");
    expect(task).toMatchObject({
      status: "failed",
      attempt: 0,
      reason: { code: "dead_lettered", fault: "infrastructure" },
    });
    expect(task.reason?.detail).toContain("no worker of pool default is alive now");
    expect(task.reason?.detail).toContain(`received ${maxReceiveCount} times`);
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({ status: "failed", counts: { failed: 1 } });
    const { deadLetters } = await list();
    expect(deadLetters).toMatchObject([{ pool: "default", job: jobId, task: "a", detail: task.reason?.detail }]);
    const body = JSON.stringify({ v: 1, jobId, task: "a", bucket: 0, slots: 1 });
    expect(deadLetters[0]).toMatchObject({ body, bodyBytes: body.length });
    auditJob(await readJobRecords(plane(), jobId));
  });

  it("says so where its task needs more slots than any live worker of the pool has", async () => {
    await plane().createWorker().register();
    plane().clock.advance(timing.workerSilentMs + 1);
    await plane().createWorker().register();
    const large = noopJob([]);
    const jobId = await plane().submit({ ...large, tasks: [{ name: "a", slots: 8 }] });
    await deadLetterAll();
    const { reason } = await readTask(jobId, "a");
    expect(reason?.detail).toContain("it needs 8 slots, the largest live worker of pool default has 4");
  });

  it("is kept and changes nothing where it is no task, or names one that does not exist", async () => {
    const unknown = JSON.stringify({ v: 1, jobId: "gone-01arz3ndektsv4rrffq69g5fav", task: "t", bucket: 0, slots: 1 });
    const bodies = [
      "no JSON",
      "{}",
      '{"v":2,"jobId":"a","task":"t","bucket":0,"slots":1}',
      unknown,
      "x".repeat(200_000),
    ];
    await queue().send(bodies.map((body) => ({ body, groupId: "g" })));
    expect(await deadLetterAll()).toBe(bodies.length);
    const { deadLetters } = await list();
    expect(deadLetters.map(({ bodyBytes }) => bodyBytes).sort()).toEqual(bodies.map((body) => body.length).sort());
    const long = deadLetters.find(({ bodyBytes }) => bodyBytes === 200_000);
    expect(long?.body).toHaveLength(4096);
    const whole = await plane().call<DeadLetter>(`/v1/admin/dead-letters/${long?.id}?pool=default`);
    expect(whole.body).toHaveLength(200_000);
    const details = deadLetters.map(({ detail }) => detail);
    expect(details.filter((detail) => detail === "its body is no message of a task")).toHaveLength(4);
    expect(details).toContain("there is no task gone-01arz3ndektsv4rrffq69g5fav/t");
    const { redriven, refused } = await redrive({ apply: true });
    expect(redriven).toEqual([]);
    expect(refused).toHaveLength(bodies.length);
  });

  it("is dropped where its task runs or has ended", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const worker = plane().createWorker();
    const claims = [await worker.claimOne(), await worker.claimOne()];
    await plane()
      .deps.pools.get("default")
      ?.queue.send(
        claims.map(({ task }) => {
          return { body: JSON.stringify({ v: 1, jobId, task, bucket: 0, slots: 1 }), groupId: jobId };
        }),
      );
    const [running, over] = claims;
    if (!running || !over) throw new Error("two claims were expected");
    await worker.report(over, failedWith(1));
    await plane().foldAll();
    const before = await readJobRecords(plane(), jobId);
    expect(await deadLetterAll()).toBeGreaterThanOrEqual(2);
    expect(await readJobRecords(plane(), jobId)).toEqual(before);
    expect((await list()).deadLetters).toEqual([]);
  });

  it("of a task that was started since gives it a message of its own, for it tells nothing of its wait", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const [delivery] = await worker.receive(1);
    const [claim] = await worker.claim([delivery?.task ?? fail()]);
    if (claim?.status !== "claimed") throw new Error("not claimed");
    await worker.report(claim, released());
    await queue().changeVisibility([delivery?.message.receiptHandle ?? ""], 0);
    expect(await deadLetterAll()).toBe(1);
    expect(await readTask(jobId, "a")).toMatchObject({ status: "queued" });
    // The new one counts from here on: if nobody starts the task for it either, that is the end.
    expect(await deadLetterAll()).toBe(1);
    expect(await readTask(jobId, "a")).toMatchObject({ status: "failed", reason: { code: "dead_lettered" } });
    expect((await list()).deadLetters).toHaveLength(1);
  });

  it("of a job that was cancelled ends its task as that", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await receiveTooOften();
    await plane().call(`/v1/jobs/${jobId}/cancel`, { body: {} });
    await plane().settleDeadLetters();
    await plane().foldAll();
    expect(await readTask(jobId, "a")).toMatchObject({ status: "aborted", reason: { code: "cancelled" } });
    expect((await list()).deadLetters).toEqual([]);
  });

  it("does not fail a task that a worker claims at the same moment", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await receiveTooOften();
    let claims: unknown[] = [];
    plane().requests.intercept(async ({ operation }, send) => {
      if (operation === "UpdateItem" && claims.length === 0) {
        claims = [undefined];
        claims = await plane()
          .createWorker()
          .claim([{ jobId, task: "a", bucket: 0 }]);
      }
      return send();
    });
    await plane().settleDeadLetters();
    plane().requests.intercept(undefined);
    expect(claims).toMatchObject([{ status: "claimed", attempt: 1 }]);
    expect(await readTask(jobId, "a")).toMatchObject({ status: "running" });
    const refusal = { detail: expect.stringContaining("is running by now") };
    expect(await redrive({ apply: true })).toMatchObject({ redriven: [], refused: [refusal] });
  });

  it("that cannot be settled comes again, and keeps none of the others", async () => {
    const [first, second] = [await plane().submit(noopJob(["a"])), await plane().submit(noopJob(["a"]))];
    await receiveTooOften();
    plane().requests.intercept(async ({ operation }, send) => {
      if (operation === "PutItem" && first !== undefined) {
        plane().requests.intercept(undefined);
        throw new Error("the table is away");
      }
      return send();
    });
    expect(await plane().settleDeadLetters()).toBe(2);
    const states = await Promise.all([first, second].map(async (jobId) => (await readTask(jobId, "a")).status));
    expect(states.sort()).toEqual(["failed", "queued"]);
  });
});

describe("a redrive", () => {
  it("names what it would do and changes nothing, unless it is told to", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    await deadLetterAll();
    const before = await readJobRecords(plane(), jobId);
    const dry = await redrive({});
    expect(dry).toMatchObject({ applied: false, refused: [] });
    expect(dry.redriven.map(({ job, task }) => `${job}/${task}`).sort()).toEqual([`${jobId}/a`, `${jobId}/b`]);
    expect(await readJobRecords(plane(), jobId)).toEqual(before);
    const applied = await redrive({ apply: true });
    expect(applied).toEqual({ ...dry, applied: true });
    await plane().foldAll();
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({ status: "queued", counts: { queued: 2 } });
    expect(await redrive({ apply: true })).toMatchObject({ redriven: [], refused: [{}, {}] });
    expect((await list()).deadLetters.every(({ redrivenAt }) => redrivenAt !== undefined)).toBe(true);
    expect(await plane().createWorker().runAll()).toBe(2);
    await plane().foldAll();
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({ status: "completed" });
  });

  it("takes the ones that are named, and says which of them it does not know", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    await deadLetterAll();
    const wanted = (await list()).deadLetters.find(({ task }) => task === "b");
    expect((await redrive({ ids: [wanted?.id], apply: true })).redriven).toMatchObject([{ job: jobId, task: "b" }]);
    await plane().foldAll();
    expect(await readTask(jobId, "a")).toMatchObject({ status: "failed" });
    expect(await readTask(jobId, "b")).toMatchObject({ status: "queued" });
    const unknown = await plane().request("/v1/admin/redrive", { body: { pool: "default", ids: ["nothing"] } });
    expect(unknown.status).toBe(404);
  });

  it("goes through all there are page by page", async () => {
    for (let jobs = 0; jobs < 2; jobs++) await plane().submit(noopJob(taskNames(60)));
    await deadLetterAll();
    const ids = new Set<string>();
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page: Redrive = await redrive({ apply: true, ...(cursor ? { cursor } : {}) });
      for (const { id } of page.redriven) ids.add(id);
      cursor = page.cursor;
      pages += 1;
    } while (cursor !== undefined);
    expect(ids.size).toBe(120);
    expect(pages).toBe(2);
    const listed = new Set<string>();
    for (let after: string | undefined, more = true; more; more = after !== undefined) {
      const page: DeadLetterPage = await list(`&limit=50${after ? `&cursor=${after}` : ""}`);
      for (const { id } of page.deadLetters) listed.add(id);
      after = page.cursor;
    }
    expect(listed).toEqual(ids);
  });

  it("runs the job again whose timeout has passed, with all of its time, and what was skipped with it", async () => {
    const job = noopJob([], { timeoutMs: 3600_000 });
    const jobId = await plane().submit({ ...job, tasks: [{ name: "a" }, { name: "b", needs: ["a"] }] });
    await deadLetterAll();
    await plane().foldAll();
    expect(await readTask(jobId, "b")).toMatchObject({ status: "skipped" });
    plane().clock.advance(3600_000);
    expect((await redrive({ apply: true })).redriven).toMatchObject([{ task: "a" }]);
    await plane().foldAll();
    expect(await readTask(jobId, "b")).toMatchObject({ status: "pending" });
    for (const task of ["a", "b"]) {
      expect(await plane().createWorker().runAll(), task).toBe(1);
      await plane().foldAll();
    }
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({ status: "completed" });
  });

  it("leaves the tasks of a job alone that is being cancelled, and says so", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const { task } = await plane().createWorker().claimOne();
    await deadLetterAll();
    await plane().call(`/v1/jobs/${jobId}/cancel`, { body: {} });
    const refusal = { detail: expect.stringContaining("is being cancelled") };
    expect(await redrive({ apply: true })).toMatchObject({ redriven: [], refused: [refusal] });
    expect(await readTask(jobId, task)).toMatchObject({ status: "running" });
  });

  it("sends the message later where the queue is away", async () => {
    await plane().submit(noopJob(["a"]));
    await deadLetterAll();
    plane().requests.intercept(async ({ service }, send) => {
      if (service === "sqs") throw new Error("the queue is away");
      return send();
    });
    expect((await redrive({ apply: true })).redriven).toHaveLength(1);
    plane().requests.intercept(undefined);
    plane().clock.advance(2 * timing.announceAgainMs);
    expect(await plane().sweep()).toMatchObject({ dispatched: 1, failed: 0 });
    expect(await plane().createWorker().runAll()).toBe(1);
  });
});

function fail(): never {
  throw new Error("the queue is empty");
}
