import { describe, expect, it } from "vitest";
import type { Job, Task } from "../../shared/api/schemas.ts";
import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import type { AttemptOutcome, Manifest } from "../../shared/domain/manifest.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { maxAttempts, maxInfrastructureAttempts, timing } from "../../shared/domain/timing.ts";
import { taskKey } from "../../shared/repository/keys.ts";
import { updateItem } from "../../shared/repository/table.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { type FakeWorker, released } from "../support/control-plane-worker.ts";

const plane = useControlPlane();
const pastLeaseMs = timing.leaseMs + 1;

const readTask = ({ jobId, task }: Pick<ClaimedTask, "jobId" | "task">) =>
  plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);
const claimAgain = async ({ jobId, task }: ClaimedTask) =>
  (
    await plane()
      .createWorker()
      .claim([{ jobId, task, bucket: 0 }])
  )[0];

/** Submits a job of one task and lets a worker claim it and fall silent. */
async function loseAttempt(change: Parameters<typeof noopJob>[1] = {}): Promise<ClaimedTask> {
  await plane().submit(noopJob(["a"], change));
  const claimed = await plane().createWorker().claimOne();
  plane().clock.advance(pastLeaseMs);
  return claimed;
}

function writeManifest({ jobId, task, attempt }: ClaimedTask, outcome: AttemptOutcome): Promise<void> {
  const at = new Date(plane().clock.now()).toISOString();
  const artifacts = [{ key: "jobs/x", name: "a.tar.zst", size: 3, sha256: "0".repeat(64) }];
  const manifest: Manifest = {
    ...{
      v: 1,
      jobId,
      task,
      attempt,
      workerId: "w",
      outcome,
      startedAt: at,
      endedAt: at,
      steps: [],
      logs: [],
      artifacts,
    },
  };
  return plane().deps.objects.put(manifestKey(jobId, task, attempt), JSON.stringify(manifest), "application/json");
}

describe("an attempt whose worker fell silent", () => {
  it("has completed all the same where its manifest says so", async () => {
    const lost = await loseAttempt();
    await writeManifest(lost, { state: "completed", exitCode: 0 });
    expect(await claimAgain(lost)).toMatchObject({ status: "drop" });
    expect(await readTask(lost)).toMatchObject({ status: "completed", attempt: 1, artifacts: [{ name: "a.tar.zst" }] });
  });

  it("is tried again where its manifest blames infrastructure, as if its worker had reported it", async () => {
    const lost = await loseAttempt();
    await writeManifest(lost, { state: "failed", reason: reasonFor("upload_failed", "the bucket is away") });
    expect(await claimAgain(lost)).toMatchObject({ status: "wait", retryAfterSeconds: 1 });
    expect(await readTask(lost)).toMatchObject({
      status: "queued",
      attempts: [{ outcome: { state: "failed", reason: { code: "upload_failed" } } }],
    });
    expect(await claimAgain(lost)).toMatchObject({ status: "claimed", attempt: 2 });
  });

  it("is followed by the next attempt where its manifest cannot be read", async () => {
    const lost = await loseAttempt();
    await plane().deps.objects.put(manifestKey(lost.jobId, lost.task, 1), "{ half", "application/json");
    expect(await claimAgain(lost)).toMatchObject({ status: "claimed", attempt: 2 });
  });

  it("ends cancelled where its job was cancelled, though nobody told the task yet", async () => {
    const lost = await loseAttempt();
    await plane().call(`/v1/jobs/${lost.jobId}/cancel`, { body: {} });
    expect(await claimAgain(lost)).toMatchObject({ status: "drop" });
    expect(await readTask(lost)).toMatchObject({ status: "aborted", attempt: 1, reason: { code: "cancelled" } });
  });

  it("ends timed out where its job timed out", async () => {
    const lost = await loseAttempt({ timeoutMs: 60_000 });
    plane().clock.advance(60_000);
    await plane().sweep();
    await claimAgain(lost);
    expect(await readTask(lost)).toMatchObject({ status: "timed_out", attempt: 1, reason: { code: "timed_out" } });
  });

  it("ends timed out where its job's timeout has passed, though no sweep came yet", async () => {
    const lost = await loseAttempt({ timeoutMs: 60_000 });
    plane().clock.advance(60_000);
    expect(await claimAgain(lost)).toMatchObject({ status: "drop" });
    expect(await readTask(lost)).toMatchObject({ status: "timed_out", attempt: 1, reason: { code: "timed_out" } });
  });

  it("keeps its task where its worker renews the lease just before it would be taken away", async () => {
    const lost = await loseAttempt();
    await plane().deps.tasks.requestCancel((await plane().deps.tasks.get(lost.jobId, 0, "a")) ?? fail(), {
      cause: "user",
      detail: "enough",
      at: new Date(plane().clock.now()).toISOString(),
    });
    let renewed = false;
    plane().requests.intercept(async ({ operation }, send) => {
      if (!renewed && operation === "UpdateItem") {
        renewed = true;
        await plane().deps.tasks.renewLease({ ...lost, bucket: 0 }, lost.leaseToken, plane().clock.now());
      }
      return send();
    });
    expect(await claimAgain(lost)).toMatchObject({ status: "wait" });
    expect(renewed).toBe(true);
    expect(await readTask(lost)).toMatchObject({ status: "running", attempt: 1 });
  });

  it("was the last one where infrastructure has failed under the task often enough", async () => {
    let lost = await loseAttempt();
    for (let attempt = 2; attempt <= maxInfrastructureAttempts; attempt++) {
      const next = await claimAgain(lost);
      if (next?.status !== "claimed") throw new Error(`not claimed: ${JSON.stringify(next)}`);
      lost = next;
      plane().clock.advance(pastLeaseMs);
    }
    expect(await claimAgain(lost)).toMatchObject({ status: "drop" });
    const task = await readTask(lost);
    expect(task).toMatchObject({ status: "failed", reason: { code: "worker_lost", fault: "infrastructure" } });
    expect(task.attempts).toHaveLength(maxInfrastructureAttempts);
  });
});

describe("what a rescue saw of the worker", () => {
  const ranOut = "its lease ran out 20 s ago";

  /** The reason of an attempt that is rescued 50 s after its claim; `meanwhile` is called after 45 of them. */
  async function rescueAfter(meanwhile: (worker: FakeWorker) => Promise<unknown>, register = true): Promise<Task> {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    if (register) await worker.register();
    const claimed = await worker.claimOne();
    plane().clock.advance(45_000);
    await meanwhile(worker);
    plane().clock.advance(5_000);
    expect(await claimAgain(claimed)).toMatchObject({ status: "claimed", attempt: 2 });
    return readTask({ jobId, task: "a" });
  }

  it.each<[string, (worker: FakeWorker) => Promise<unknown>, string, object]>([
    ["is silent", async () => undefined, `was last heard of 50 s ago; ${ranOut}`, { workerState: "lost" }],
    [
      "lives but does not hold it",
      (worker) => worker.beat([]),
      `was heard of 5 s ago but does not hold it: it gave it up, or never heard that it had it; ${ranOut}`,
      { workerState: "alive" },
    ],
    [
      "has stopped",
      (worker) => worker.beat([], "stopped"),
      `stopped 5 s ago and did not end it; ${ranOut}`,
      { workerState: "stopped" },
    ],
  ])("is in the reason and in the attempt: the worker %s", async (_, meanwhile, sentence, seen) => {
    const { attempts } = await rescueAfter(meanwhile);
    const [{ outcome, rescue, workerId } = fail()] = attempts;
    expect(outcome?.reason).toEqual(reasonFor("worker_lost", `attempt 1: worker ${workerId} ${sentence}`));
    expect(rescue).toMatchObject(seen);
    expect(Date.parse(rescue?.at ?? "") - Date.parse(rescue?.leaseUntil ?? "")).toBe(20_000);
  });

  it("is that its machine was taken away, where that was the last that the worker said", async () => {
    const { attempts } = await rescueAfter(async (worker) => {
      await worker.beat([], "draining", { drainCause: { kind: "signal" } });
      await worker.beat([], "draining", { drainCause: { kind: "interrupted", detail: "terminate" } });
      plane().clock.advance(timing.workerSilentMs);
    });
    const [{ outcome, workerId, rescue } = fail()] = attempts;
    expect(outcome?.reason).toMatchObject({ code: "spot_interrupted", fault: "infrastructure" });
    expect(outcome?.reason?.detail).toContain(
      `worker ${workerId}, whose machine was to be taken away, was last heard of 20 s ago; its lease ran out`,
    );
    expect(rescue).toMatchObject({ workerState: "lost" });
  });

  it("is not that its machine was taken away, where the worker went on after all", async () => {
    const { attempts } = await rescueAfter(async (worker) => {
      await worker.beat([], "draining", { drainCause: { kind: "interrupted" } });
      await worker.beat();
    });
    expect(attempts[0]?.outcome?.reason?.code).toBe("worker_lost");
  });

  it("says where nothing is known of the worker", async () => {
    const { attempts } = await rescueAfter(async () => undefined, false);
    expect(attempts[0]?.outcome?.reason?.detail).toContain(`is not known any more; ${ranOut}`);
    expect(attempts[0]?.rescue).not.toHaveProperty("workerSeenAt");
  });

  it("is kept also where the attempt's manifest tells how it ended", async () => {
    const lost = await loseAttempt();
    await writeManifest(lost, { state: "completed", exitCode: 0 });
    await claimAgain(lost);
    expect((await readTask(lost)).attempts).toMatchObject([{ rescue: { at: expect.any(String) } }]);
  });
});

describe("a task that is given back unspent again and again", () => {
  it("ends failed after as many attempts as its item has room for", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    await pretendAttempts(jobId, maxAttempts - 1);
    const last = await worker.claimOne();
    expect(last.attempt).toBe(maxAttempts);
    expect(await worker.report(last, released())).toMatchObject({ status: "retry" });
    expect(await worker.claim([{ jobId, task: "a", bucket: 0 }])).toMatchObject([{ status: "drop" }]);
    const task = await readTask({ jobId, task: "a" });
    expect(task).toMatchObject({ status: "failed", reason: { code: "dead_lettered", fault: "infrastructure" } });
    expect(task.attempts).toHaveLength(maxAttempts);
    await plane().foldAll();
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({ status: "failed", counts: { failed: 1 } });
  });
});

/** Makes it look as if so many attempts had been released before. */
async function pretendAttempts(jobId: string, count: number): Promise<void> {
  const at = new Date(plane().clock.now()).toISOString();
  const record = { workerId: "w", leaseToken: "t", claimedAt: at, endedAt: at, outcome: {} };
  await updateItem(plane().table, {
    Key: taskKey(jobId, 0, "a"),
    UpdateExpression: "SET attempt = :count, attempts = :records",
    ExpressionAttributeValues: { ":count": count, ":records": Array.from({ length: count }, () => record) },
  });
}

function fail(): never {
  throw new Error("the task is missing");
}
