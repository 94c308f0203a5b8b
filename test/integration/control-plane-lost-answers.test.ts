import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Job, Task } from "../../shared/api/schemas.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { timing } from "../../shared/domain/timing.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed, runToEnd } from "../support/control-plane-worker.ts";
import { diamond, graphJob } from "../support/graph-jobs.ts";
import { auditJob, readJobRecords } from "../support/job-audit.ts";

const plane = useControlPlane();
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const post = (path: string) => plane().call(path, { method: "POST", role: "submitter", body: {} });

/** Runs and counts all there is to do, without a sweep and with the clock standing still. */
async function runAndAudit(jobId: string, ...failing: string[]): Promise<string[]> {
  const ran = await runToEnd(plane(), ...failing);
  auditJob(await readJobRecords(plane(), jobId));
  return ran.sort();
}

describe("where the answer to every write of the table is lost and the write is sent again", () => {
  beforeEach(() => {
    plane().requests.intercept(async ({ service, writes }, send) => {
      if (service === "dynamodb" && writes) await send();
      return send();
    });
  });
  afterEach(() => plane().requests.intercept(undefined));

  it("tasks go on to those that need them at once", async () => {
    const jobId = await plane().submit(graphJob(diamond));
    expect(await runAndAudit(jobId)).toEqual(["build", "lint", "publish", "unit"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
  });

  it("what failed skips what needs it, and a retry of both runs at once", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a", c: "b" }));
    expect(await runAndAudit(jobId, "a")).toEqual(["a"]);
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { failed: 1, skipped: 2 } });
    await post(`/v1/jobs/${jobId}/retry`);
    expect(await runAndAudit(jobId)).toEqual(["a", "b", "c"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
  });

  it("a result is told to have ended the task, and a release to have queued it again", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const worker = plane().createWorker();
    const released = { kind: "released", reason: reasonFor("drained", "the worker stops") } as const;
    const first = await worker.claimOne();
    expect(await worker.report(first, released)).toEqual({ status: "retry", retryAfterSeconds: 0 });
    const second = await worker.claimOne();
    expect(await worker.report(second, completed())).toEqual({ status: "accepted" });
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ counts: { queued: 1, completed: 1 } });
  });

  it("a large job is expanded, and ended by a cancel", async () => {
    const jobId = await plane().submit(noopJob(taskNames(230)));
    await plane().foldAll();
    await post(`/v1/jobs/${jobId}/cancel`);
    expect(await runAndAudit(jobId)).toEqual([]);
    expect(await readJob(jobId)).toMatchObject({ status: "aborted", counts: { aborted: 230 } });
  });

  it("a task whose worker fell silent is tried again with its message", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await plane().createWorker().claimOne();
    plane().clock.advance(timing.leaseMs + 1);
    await plane().sweep();
    expect(await plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`)).toMatchObject({ status: "queued" });
    expect(await runAndAudit(jobId)).toEqual(["a"]);
  });
});
