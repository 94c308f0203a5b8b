import { describe, expect, it } from "vitest";
import type { ArtifactList } from "../../shared/api/artifact-schemas.ts";
import type { Task } from "../../shared/api/schemas.ts";
import type { ClaimedTask, ResultAnswers } from "../../shared/api/worker-schemas.ts";
import { formatAttemptId } from "../../shared/domain/ids.ts";
import { artifactKey } from "../../shared/domain/object-keys.ts";
import { maxReasonDetailLength, type Reason, reasonFor } from "../../shared/domain/reason.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import {
  completed,
  ended,
  failedByInfrastructure,
  failedWith,
  type ReportedResult,
  released,
} from "../support/control-plane-worker.ts";

const plane = useControlPlane();

const readTask = ({ jobId, task }: Pick<ClaimedTask, "jobId" | "task">) =>
  plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);

describe("a report of a result", () => {
  it("is refused as lost where the attempt number is not the lease's, and changes nothing", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const { leaseToken } = await worker.claimOne();
    for (const attempt of [2, 7]) {
      const attemptId = formatAttemptId({ jobId, bucket: 0, task: "a", attempt });
      expect(await worker.report({ attemptId, leaseToken }, completed())).toEqual({ status: "lost" });
    }
    expect(await readTask({ jobId, task: "a" })).toMatchObject({ status: "running", attempts: [{ attempt: 1 }] });
  });

  it.each([
    ["fails by infrastructure", failedByInfrastructure()],
    ["is released", released()],
  ])("ends the task where it is cancelled just as its attempt %s", async (_title, result) => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    let cancelled = false;
    plane().requests.intercept(async ({ operation, input }, send) => {
      if (!cancelled && operation === "UpdateItem" && JSON.stringify(input).includes('":state":"queued"')) {
        cancelled = true;
        await plane().call(`/v1/jobs/${jobId}/tasks/a/cancel`, { body: {} });
      }
      return send();
    });
    expect(await worker.report(claimed, result)).toEqual({ status: "accepted" });
    expect(cancelled).toBe(true);
    expect(await readTask(claimed)).toMatchObject({ status: "aborted", reason: { code: "cancelled" } });
  });

  it("is answered `lost` when it is repeated after the next attempt began: its message is not its own any more", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const first = await worker.claimOne();
    expect(await worker.report(first, failedByInfrastructure())).toEqual({ status: "retry", retryAfterSeconds: 1 });
    expect(await worker.report(first, failedByInfrastructure())).toEqual({ status: "retry", retryAfterSeconds: 1 });
    await plane()
      .createWorker()
      .claim([{ jobId, task: "a", bucket: 0 }]);
    expect(await worker.report(first, failedByInfrastructure())).toEqual({ status: "lost" });
  });

  it("is tried again where the job says so, with a delay that doubles, until its tries are used up", async () => {
    const jobId = await plane().submit(noopJob(["a"], { retry: { attempts: 3 } }));
    const worker = plane().createWorker();
    const address = { jobId, task: "a", bucket: 0 };
    const answers = [];
    for (const result of [failedWith(7), failedByInfrastructure(), failedWith(8), failedWith(9)]) {
      const [claim] = await worker.claim([address]);
      if (claim?.status !== "claimed") throw new Error("not claimed");
      const answer = await worker.report(claim, result);
      answers.push(answer.status === "retry" ? answer.retryAfterSeconds : answer.status);
      expect(await worker.report(claim, result), "told again").toEqual(answer);
    }
    expect(answers).toEqual([1, 1, 2, "accepted"]);
    await plane().foldAll();
    const task = await plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`);
    expect(task).toMatchObject({ status: "failed", attempt: 4, reason: { detail: "true exited with 9" } });
    expect(task.attempts.map(({ outcome }) => outcome?.exitCode)).toEqual([7, undefined, 8, 9]);
  });

  it.each([
    ["exit code 42 unless it names failures", 42, { attempts: 2 }, "accepted"],
    ["exit code 42 where it names failures", 42, { attempts: 2, on: ["failures" as const] }, "retry"],
    ["what it does not name", 7, { attempts: 2, on: ["timed_out" as const] }, "accepted"],
    ["anything where it gives one try", 7, { attempts: 1 }, "accepted"],
  ])("as a job's retry policy takes %s: exit %i, %j: %s", async (_, exitCode, retry, status) => {
    await plane().submit(noopJob(["a"], { retry }));
    const worker = plane().createWorker();
    expect(await worker.report(await worker.claimOne(), failedWith(exitCode))).toMatchObject({ status });
  });

  it("is not tried again where it says that the user is at fault, whatever its code implies", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    const reason: Reason = { code: "image_unavailable", detail: "there is no image x:1", fault: "user" };
    expect(await worker.report(claimed, ended({ state: "failed", reason }))).toEqual({ status: "accepted" });
    expect(await readTask({ jobId, task: "a" })).toMatchObject({ status: "failed", reason });
  });

  it("of a task that was cancelled meanwhile ends it, whatever the job's retry policy", async () => {
    const jobId = await plane().submit(noopJob(["a"], { retry: { attempts: 3 } }));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    await plane().call(`/v1/jobs/${jobId}/cancel`, { method: "POST" });
    await plane().foldAll();
    expect(await worker.report(claimed, failedWith(7))).toEqual({ status: "accepted" });
    expect(await readTask(claimed)).toMatchObject({ status: "aborted" });
  });

  it("of an attempt that was given back tells what it left, beside that of the next, and where the task is cancelled", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const left = (attempt: number) => ({
      steps: [{ index: 1, name: "build", startedAt: "2026-01-01T00:00:00.000Z" }],
      logs: [{ step: 1, name: "a-step-1.log", chunks: 1, lines: attempt, bytes: 5 }],
      artifacts: [{ key: artifactKey(jobId, "a", attempt), name: "a.tar.zst", size: attempt, sha256: "0".repeat(64) }],
    });
    const list = (attempt: number) =>
      plane().call<ArtifactList>(`/v1/jobs/${jobId}/tasks/a/artifacts?attempt=${attempt}`);
    expect(await worker.report(await worker.claimOne(), { ...released(), ...left(1) })).toMatchObject({
      status: "retry",
    });
    expect(await list(1)).toMatchObject({ artifacts: [{ name: "a.tar.zst", size: 1, url: expect.any(String) }] });
    const [second] = await worker.claim([{ jobId, task: "a", bucket: 0 }]);
    if (second?.status !== "claimed") throw new Error("not claimed");
    await plane().call(`/v1/jobs/${jobId}/tasks/a/cancel`, { body: {} });
    expect(await worker.report(second, { ...released(), ...left(2) })).toEqual({ status: "accepted" });
    const { attempts, ...task } = await readTask(second);
    expect(task).toMatchObject({ status: "aborted", artifacts: [{ size: 2 }] });
    expect(attempts).toMatchObject([
      { outcome: { reason: { code: "drained" } }, logs: [{ lines: 1 }], artifacts: [{ size: 1 }] },
      { outcome: { state: "aborted" }, steps: [{ name: "build" }], logs: [{ lines: 2 }], artifacts: [{ size: 2 }] },
    ]);
  });

  it("of an attempt that was given back tells later what it left, once that is stored, wherever the task is by then", async () => {
    const [kept, cancelled] = await plane()
      .submit(noopJob(["a", "b"]))
      .then(async (jobId) => {
        const worker = plane().createWorker();
        const claims = await worker.claim(["a", "b"].map((task) => ({ jobId, task, bucket: 0 })));
        await plane().call(`/v1/jobs/${jobId}/tasks/b/cancel`, { body: {} });
        return claims.map((claim) => {
          if (claim.status !== "claimed") throw new Error("not claimed");
          return { worker, claim };
        });
      });
    if (!kept || !cancelled) throw new Error("two claims");
    const left = {
      steps: [{ index: 1, name: "build", startedAt: "2026-01-01T00:00:00.000Z" }],
      logs: [{ step: 1, name: "a-step-1.log", chunks: 1, lines: 7, bytes: 5 }],
      artifacts: [],
    };
    expect(await kept.worker.report(kept.claim, released())).toMatchObject({ status: "retry" });
    const next = plane().createWorker();
    const [second] = await next.claim([{ jobId: kept.claim.jobId, task: "a", bucket: 0 }]);
    expect(second).toMatchObject({ status: "claimed", attempt: 2 });
    const told = { kind: "released" as const, reason: reasonFor("drained", "it lacks something"), ...left };
    expect(await kept.worker.report(kept.claim, told)).toEqual({ status: "lost" });
    expect(await readTask(kept.claim)).toMatchObject({
      status: "running",
      attempts: [{ outcome: { reason: { detail: "it lacks something" } }, logs: [{ lines: 7 }] }, { attempt: 2 }],
    });
    expect(await cancelled.worker.report(cancelled.claim, released())).toEqual({ status: "accepted" });
    expect(await cancelled.worker.report(cancelled.claim, told)).toEqual({ status: "accepted" });
    expect(await readTask(cancelled.claim)).toMatchObject({
      status: "aborted",
      attempts: [{ outcome: { state: "aborted", reason: { code: "cancelled" } }, logs: [{ lines: 7 }] }],
    });
  });

  it("is accepted again when it is repeated", async () => {
    await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    expect(await worker.report(claimed, completed())).toEqual({ status: "accepted" });
    expect(await worker.report(claimed, completed())).toEqual({ status: "accepted" });
    await plane().foldAll();
    expect((await readTask(claimed)).attempts).toHaveLength(1);
  });

  it.each([
    ["ended", (reason: Reason) => ended({ state: "failed", exitCode: 7, reason })],
    ["was released", (reason: Reason): ReportedResult => ({ kind: "released", reason })],
  ])("keeps a bounded detail, however much an attempt that %s has to say", async (_title, result) => {
    await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    await worker.report(claimed, result({ code: "exit_code", detail: "x".repeat(450_000), fault: "user" }));
    const [attempt] = (await readTask(claimed)).attempts;
    expect(attempt?.outcome?.reason?.detail.length).toBeGreaterThanOrEqual(500);
    expect(attempt?.outcome?.reason?.detail.length).toBeLessThanOrEqual(maxReasonDetailLength);
  });
});

describe("a report of several results", () => {
  it("answers each by itself: one that is lost, no id or fails keeps none of the others", async () => {
    await plane().submit(noopJob(["a", "b", "c"]));
    const worker = plane().createWorker();
    const [a, b, c] = [await worker.claimOne(), await worker.claimOne(), await worker.claimOne()];
    plane().requests.intercept(async ({ operation, input }, send) => {
      if (operation === "UpdateItem" && (input.Key as { sk: string }).sk === c.task) throw new Error("crash");
      return send();
    });
    const report = (attemptId: string, leaseToken: string) => ({ attemptId, leaseToken, result: completed() });
    const results = [
      report(a.attemptId, a.leaseToken),
      report(b.attemptId, "another token"),
      report("no id", a.leaseToken),
      report(c.attemptId, c.leaseToken),
    ];
    const answer = await plane().call<ResultAnswers>("/v1/attempts/results", { body: { results }, role: "worker" });
    expect(answer.results.map(({ status }) => status)).toEqual(["accepted", "lost", "failed", "failed"]);
    plane().requests.intercept(undefined);
    expect(await readTask(a)).toMatchObject({ status: "completed" });
    expect(await readTask(b)).toMatchObject({ status: "running" });
    expect(await worker.report(c, completed())).toEqual({ status: "accepted" });
  });
});
