import { describe, expect, it } from "vitest";
import type { Cancelled, EventPage, Job, Task } from "../../shared/api/schemas.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed, ended, failedWith } from "../support/control-plane-worker.ts";

const plane = useControlPlane();
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const readTask = (jobId: string, task: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);
const cancelJob = (jobId: string) =>
  plane().call<Cancelled>(`/v1/jobs/${jobId}/cancel`, { method: "POST", role: "submitter" });
const cancelTask = (jobId: string, task: string) =>
  plane().call<Cancelled>(`/v1/jobs/${jobId}/tasks/${task}/cancel`, { method: "POST", role: "submitter" });
const aborted = ended({ state: "aborted", reason: reasonFor("cancelled", "cancelled by test-submitter") });

async function startWorker() {
  const worker = plane().createWorker();
  await worker.register();
  return worker;
}

describe("the cancel of a job", () => {
  it("ends what waits at once and what runs by its worker, and says who asked", async () => {
    const jobId = await plane().submit(noopJob(["a", "b", "c"]));
    const worker = await startWorker();
    const claimed = await worker.claimOne();
    expect(await cancelJob(jobId)).toEqual({ job: jobId, status: "cancelling" });
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({
      status: "running",
      counts: { aborted: 2, running: 1 },
      cancel: { cause: "user", detail: "cancelled by test-submitter" },
    });
    expect(await worker.beat([claimed])).toMatchObject({ attempts: [{ lease: "renewed", cancel: { cause: "user" } }] });
    expect((await readTask(jobId, claimed.task)).cancelRequestedAt).toBeDefined();
    expect(await worker.report(claimed, aborted)).toEqual({ status: "accepted" });
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "aborted", counts: { aborted: 3 } });
    expect(await plane().deps.jobs.getChore(jobId, "cancel")).toBeUndefined();
    // Its messages are still there; nobody runs them.
    expect(await worker.runAll()).toBe(0);
  });

  it("asked again changes nothing; of an ended job it is too late", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = await startWorker();
    const claimed = await worker.claimOne();
    expect((await cancelJob(jobId)).status).toBe("cancelling");
    expect((await cancelJob(jobId)).status).toBe("cancelling");
    await worker.report(claimed, aborted);
    await plane().foldAll();
    expect((await cancelJob(jobId)).status).toBe("already_ended");
    const { events } = await plane().call<EventPage>(`/v1/jobs/${jobId}/events`);
    expect(events.filter((event) => event.type === "job.cancel_requested")).toHaveLength(1);
    expect((await readJob(jobId)).lastEvent).toBe(events.length);
  });

  it("keeps what a task completed meanwhile, and the job is aborted all the same", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const worker = await startWorker();
    const claimed = await worker.claimOne();
    await cancelJob(jobId);
    await plane().foldAll();
    expect(await worker.report(claimed, completed())).toEqual({ status: "accepted" });
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "aborted", counts: { completed: 1, aborted: 1 } });
  });

  it("acts although the digest moves under it all the time", async () => {
    const jobId = await plane().submit(noopJob(["a", "b", "c", "d"]));
    const worker = await startWorker();
    let moves = 0;
    plane().requests.intercept(async ({ operation, input }, send) => {
      if (operation === "TransactWriteItems" && moves < 3 && JSON.stringify(input).includes("CHORE#cancel")) {
        moves += 1;
        await worker.claimOne();
        const { tasks } = await plane().deps.tasks.list({ jobId, bucketCount: 1 }, { limit: 10 });
        await plane().deps.fold.foldTasks(jobId, tasks);
      }
      return send();
    });
    expect((await cancelJob(jobId)).status).toBe("cancelling");
    expect(moves).toBe(3);
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ counts: { running: 3, aborted: 1 }, cancel: { cause: "user" } });
  });
});

describe("the cancel of a task", () => {
  it("ends a waiting task at once, and no other", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    expect(await cancelTask(jobId, "a")).toEqual({ job: jobId, task: "a", status: "cancelling" });
    await plane().foldAll();
    expect(await readTask(jobId, "a")).toMatchObject({
      status: "aborted",
      attempt: 0,
      reason: { code: "cancelled", detail: "cancelled by test-submitter", fault: "user" },
    });
    expect(await readJob(jobId)).toMatchObject({ status: "queued", counts: { queued: 1, aborted: 1 } });
    expect((await cancelTask(jobId, "a")).status).toBe("already_ended");
  });

  it("tells a running task's worker, which may still complete it", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = await startWorker();
    const claimed = await worker.claimOne();
    await cancelTask(jobId, "a");
    expect(await worker.beat([claimed])).toMatchObject({
      attempts: [{ cancel: { cause: "user", detail: "cancelled by test-submitter" } }],
    });
    await worker.report(claimed, completed());
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
  });

  it.each([
    ["claim", "is told to the worker that was faster"],
    ["cancel", "ends the task before the claim"],
  ])("at the same moment as its claim, the %s first: %s", async (first) => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = await startWorker();
    const claim = async () => (await worker.claim([{ jobId, task: "a", bucket: 0 }]))[0];
    let other: ReturnType<typeof claim> | ReturnType<typeof cancelTask> | undefined;
    plane().requests.intercept(async ({ operation }, send) => {
      if (operation === "UpdateItem" && other === undefined) {
        other = first === "claim" ? claim() : cancelTask(jobId, "a");
        await other;
      }
      return send();
    });
    const answer = await (first === "claim" ? cancelTask(jobId, "a") : claim());
    const task = await readTask(jobId, "a");
    if (first === "claim") {
      expect(answer).toMatchObject({ status: "cancelling" });
      expect(task).toMatchObject({ status: "running", cancelRequestedAt: expect.any(String) });
    } else {
      expect(answer).toMatchObject({ status: "wait" });
      expect(task).toMatchObject({ status: "aborted" });
      expect(await claim()).toMatchObject({ status: "drop" });
    }
  });
});

describe("an abort policy", () => {
  it.each([
    ["on-error", 7, true],
    ["on-error", 42, false],
    ["on-failure", 42, true],
    ["on-failure", 7, false],
    ["never", 7, false],
  ] as const)("%s, after exit %i, ends the rest of the job: %s", async (abort, exitCode, ends) => {
    const jobId = await plane().submit(noopJob(taskNames(4), { abort }));
    const worker = await startWorker();
    const claimed = await worker.claimOne();
    await worker.report(claimed, failedWith(exitCode));
    await plane().foldAll();
    const job = await readJob(jobId);
    expect(job.counts).toMatchObject(ends ? { failed: 1, aborted: 3 } : { failed: 1, queued: 3 });
    expect(job.status).toBe(ends ? "failed" : "running");
    if (ends)
      expect(job.cancel).toMatchObject({ cause: "abort_policy", detail: expect.stringContaining(claimed.task) });
    await worker.runAll();
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed" });
  });

  it("does not act on a skipped task", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"], { abort: "on-error" }));
    const worker = await startWorker();
    const claimed = await worker.claimOne();
    const reason = reasonFor("exit_code", "true exited with 43");
    await worker.report(claimed, ended({ state: "skipped", exitCode: 43, reason }));
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "running", counts: { skipped: 1, queued: 1 } });
  });
});

describe("what is not there", () => {
  it.each([
    ["POST", "/v1/jobs/none-01ke6jq300q6vvx49qnd6cvxan/cancel"],
    ["POST", "/v1/jobs/none-01ke6jq300q6vvx49qnd6cvxan/tasks/a/cancel"],
    ["GET", "/v1/jobs/none-01ke6jq300q6vvx49qnd6cvxan"],
    ["GET", "/v1/jobs/none-01ke6jq300q6vvx49qnd6cvxan/tasks"],
    ["GET", "/v1/jobs/none-01ke6jq300q6vvx49qnd6cvxan/tasks/a/artifacts"],
    ["POST", "/v1/workers/w-1/drain"],
  ] as const)("is not found: %s %s", async (method, path) => {
    const response = await plane().request(path, { method });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "not_found", detail: expect.any(String) });
  });

  it("is not found: a task of a job that is there", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const response = await plane().request(`/v1/jobs/${jobId}/tasks/b/cancel`, { method: "POST" });
    expect(await response.json()).toMatchObject({ status: 404, detail: expect.stringContaining("no task b") });
  });

  it("is not there yet: a task of a large job that is still being written down", async () => {
    const jobId = await plane().submit(noopJob(taskNames(120)));
    const early = await plane().request(`/v1/jobs/${jobId}/tasks/t0120/cancel`, { method: "POST" });
    expect(await early.json()).toMatchObject({
      status: 409,
      code: "conflict",
      detail: expect.stringContaining("try again"),
    });
    await plane().foldAll();
    expect((await cancelTask(jobId, "t0120")).status).toBe("cancelling");
  });
});
