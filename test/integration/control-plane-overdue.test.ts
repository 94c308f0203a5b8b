import { describe, expect, it } from "vitest";
import type { Job, Task } from "../../shared/api/schemas.ts";
import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import { timing } from "../../shared/domain/timing.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed, type FakeWorker } from "../support/control-plane-worker.ts";
import { eventually } from "../support/eventually.ts";
import { auditJob, readJobRecords } from "../support/job-audit.ts";

const plane = useControlPlane();
const readTask = (jobId: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`);

/** A job of one task that a worker has claimed, which renews its lease and listens to nothing. */
async function startDeaf(job: Parameters<typeof noopJob>[1] = {}, timeoutMs = 60_000) {
  const jobId = await plane().submit({ ...noopJob([], job), tasks: [{ name: "a", timeoutMs }] });
  const worker = plane().createWorker();
  await worker.register();
  const claimed = await worker.claimOne();
  await plane().foldAll();
  return { jobId, worker, claimed };
}

/** Lets time pass in which the worker goes on renewing and the sweep comes each minute. */
async function pass(ms: number, worker: FakeWorker, claimed: ClaimedTask): Promise<number> {
  let timedOut = 0;
  for (let passedMs = 0; passedMs < ms; passedMs += 20_000) {
    plane().clock.advance(Math.min(20_000, ms - passedMs));
    await worker.beat([claimed]);
    if (passedMs % 60_000 === 40_000) timedOut += (await plane().sweep()).timedOut;
  }
  await plane().foldAll();
  return timedOut;
}

describe("an attempt that its worker does not end", () => {
  it("is ended as timed out by the control plane, and its worker hears that the lease is lost", async () => {
    const { jobId, worker, claimed } = await startDeaf();
    expect(await pass(60_000 + timing.overdueMs - 1, worker, claimed)).toBe(0);
    expect(await readTask(jobId)).toMatchObject({ status: "running" });
    expect(await pass(60_000, worker, claimed)).toBe(1);
    const task = await readTask(jobId);
    expect(task).toMatchObject({ status: "timed_out", attempt: 1, reason: { code: "timed_out", fault: "user" } });
    expect(task.reason?.detail).toContain(
      `did not end within its timeout of 60 s; worker ${worker.workerId} renewed its lease but did not end it`,
    );
    expect(await worker.beat([claimed])).toMatchObject({ attempts: [{ lease: "lost" }] });
    // What it reports yet changes nothing; the answer only lets go of the message.
    expect(await worker.report(claimed, completed())).toEqual({ status: "accepted" });
    await plane().foldAll();
    auditJob(await readJobRecords(plane(), jobId));
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({ status: "failed", counts: { timed_out: 1 } });
  });

  it("is followed by another at once where the job says so, for its worker keeps the message hidden", async () => {
    const { jobId, worker, claimed } = await startDeaf({ retry: { attempts: 2, on: ["timed_out"] } });
    expect(await pass(timing.overdueMs + 90_000, worker, claimed)).toBe(1);
    expect(await readTask(jobId)).toMatchObject({ status: "queued", attempt: 1 });
    await eventually(async () => (await plane().createWorker().runAll()) === 1, "the task runs again");
    await plane().foldAll();
    expect(await readTask(jobId)).toMatchObject({ status: "completed", attempt: 2 });
  });

  it("ends as its manifest says where there is one", async () => {
    const { jobId, worker, claimed } = await startDeaf();
    const at = new Date(plane().clock.now()).toISOString();
    const ended = { outcome: { state: "completed", exitCode: 0 }, steps: [], logs: [], artifacts: [] };
    const manifest = { v: 1, jobId, task: "a", attempt: 1, workerId: "w", startedAt: at, endedAt: at, ...ended };
    await plane().deps.objects.put(manifestKey(jobId, "a", 1), JSON.stringify(manifest), "application/json");
    expect(await pass(120_000 + timing.overdueMs, worker, claimed)).toBe(1);
    expect(await readTask(jobId)).toMatchObject({ status: "completed", attempt: 1 });
  });

  it("is ended when the rest of its job's timeout is over, which it was told as its own", async () => {
    const { jobId, worker, claimed } = await startDeaf({ timeoutMs: 120_000 }, 6 * 3600_000);
    expect(claimed.timeoutMs).toBe(120_000);
    await pass(180_000 + timing.overdueMs, worker, claimed);
    const task = await readTask(jobId);
    expect(task).toMatchObject({ status: "timed_out", reason: { code: "timed_out" } });
    expect(task.reason?.detail).toContain("renewed its lease but did not end it");
  });

  it("is ended as cancelled where it was told to stop", async () => {
    const { jobId, worker, claimed } = await startDeaf({}, 6 * 3600_000);
    await plane().call(`/v1/jobs/${jobId}/cancel`, { body: {} });
    await plane().foldAll();
    expect(await pass(timing.overdueMs - 1, worker, claimed)).toBe(0);
    expect(await pass(60_000, worker, claimed)).toBe(1);
    expect(await readTask(jobId)).toMatchObject({ status: "aborted", reason: { code: "cancelled" } });
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({ status: "aborted" });
  });

  it("is left alone where its worker ends it at the same moment", async () => {
    const { jobId, worker, claimed } = await startDeaf();
    await pass(40_000 + timing.overdueMs, worker, claimed);
    plane().clock.advance(20_001);
    await worker.beat([claimed]);
    let reported = false;
    plane().requests.intercept(async ({ operation }, send) => {
      if (operation === "UpdateItem" && !reported) {
        reported = true;
        const outcome = { state: "failed", exitCode: 3 } as const;
        await worker.report(claimed, { kind: "ended", outcome, steps: [], logs: [], artifacts: [] });
      }
      return send();
    });
    expect(await plane().sweep()).toMatchObject({ timedOut: 0, failed: 0 });
    expect(await readTask(jobId)).toMatchObject({ status: "failed", exitCode: 3 });
  });
});
