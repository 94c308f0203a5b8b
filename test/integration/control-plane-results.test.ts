import { describe, expect, it } from "vitest";
import type { ClaimedTask, ResultAnswers, Task } from "../../shared/api/schemas.ts";
import { formatAttemptId } from "../../shared/domain/ids.ts";
import { maxReasonDetailLength, type Reason } from "../../shared/domain/reason.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import {
  completed,
  ended,
  failedByInfrastructure,
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
      if (!cancelled && operation === "UpdateItem" && JSON.stringify(input).includes('":queued"')) {
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
