import { describe, expect, it } from "vitest";
import { workOnChore } from "../../functions/operations/chores.ts";
import type { EventPage, Job, Problem, Retried, Task } from "../../shared/api/schemas.ts";
import { maxAttempts } from "../../shared/domain/timing.ts";
import { taskKey } from "../../shared/repository/keys.ts";
import { updateItem } from "../../shared/repository/table.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed, failedWith, type ReportedResult, runQueued, runToEnd } from "../support/control-plane-worker.ts";
import { diamond, graphJob } from "../support/graph-jobs.ts";
import { auditJob, readJobRecords } from "../support/job-audit.ts";

const plane = useControlPlane();
const minuteMs = 60_000;
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const readTask = (jobId: string, task: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);
const askRetry = (jobId: string, tasks?: readonly string[], headers: Record<string, string> = {}) =>
  plane().request(`/v1/jobs/${jobId}/retry`, { body: tasks ? { tasks } : {}, role: "submitter", headers });
const cancel = (jobId: string) => plane().call(`/v1/jobs/${jobId}/cancel`, { method: "POST" });

async function retry(jobId: string, tasks?: readonly string[], headers?: Record<string, string>): Promise<Retried> {
  const response = await askRetry(jobId, tasks, headers);
  expect(response.status, await response.clone().text()).toBe(202);
  return (await response.json()) as Retried;
}

async function explainRefusal(response: Response): Promise<string> {
  const { status, detail } = (await response.json()) as Problem;
  return `${status} ${detail}`;
}

/** Runs all that waits in the queue; the tasks named fail. Answers what ran. */
const audit = async (jobId: string) => auditJob(await readJobRecords(plane(), jobId));

describe("the retry of a job", () => {
  it("runs failed tasks again, with what was skipped because of them, and nothing else", async () => {
    const jobId = await plane().submit(graphJob({ ...diamond, other: "" }));
    expect(await runToEnd(plane(), "lint")).toEqual(["build", "other", "lint", "unit"]);
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { failed: 1, skipped: 1 } });
    expect(await retry(jobId)).toEqual({ job: jobId, status: "retrying", tasks: ["lint"], dependants: 1 });
    expect(await readJob(jobId), "at once").toMatchObject({ status: "running" });
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ counts: { queued: 1, pending: 1, completed: 3 } });
    expect(await readTask(jobId, "publish")).toMatchObject({ status: "pending", waitingFor: ["lint"] });
    expect(await runToEnd(plane())).toEqual(["lint", "publish"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 5 } });
    expect((await readTask(jobId, "lint")).attempts.map(({ outcome }) => outcome?.state)).toEqual([
      "failed",
      "completed",
    ]);
    await audit(jobId);
  });

  it("fails again where the task fails again, and can be retried again", async () => {
    const jobId = await plane().submit(graphJob(diamond));
    await runToEnd(plane(), "build");
    for (let round = 0; round < 3; round++) {
      expect((await retry(jobId)).dependants).toBe(3);
      expect(await runToEnd(plane(), "build")).toEqual(["build"]);
      expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { failed: 1, skipped: 3 } });
      await audit(jobId);
    }
    await retry(jobId);
    await runToEnd(plane());
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
  });

  it("tells in its events who asked, and for what", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    await runToEnd(plane(), "a");
    await retry(jobId, ["a"]);
    await runToEnd(plane());
    const { events } = await plane().call<EventPage>(`/v1/jobs/${jobId}/events`);
    const asked = events.findIndex(({ type }) => type === "job.retry_requested");
    expect(events[asked]).toMatchObject({ by: "test-submitter", count: 1, tasks: ["a"] });
    expect(events[asked - 1]?.type).toBe("job.ended");
    expect(events.at(-1)).toMatchObject({ type: "job.ended", state: "completed" });
    await audit(jobId);
  });

  it("runs completed tasks again where they are named; what waits for them waits again", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a", c: "a b" }));
    await runQueued(plane());
    const worker = plane().createWorker();
    const [delivery] = await worker.receive();
    expect(await retry(jobId, ["a"])).toMatchObject({ tasks: ["a"], dependants: 0 });
    expect(await readTask(jobId, "c")).toMatchObject({ waitingFor: ["a", "b"] });
    if (!delivery) throw new Error("b was not announced");
    const [claim] = await worker.claim([delivery.task]);
    if (claim?.status !== "claimed") throw new Error("b runs on");
    await worker.report(claim, completed());
    await plane().foldAll();
    expect(await readTask(jobId, "c")).toMatchObject({ status: "pending", waitingFor: ["a"] });
    expect(await runToEnd(plane())).toEqual(["a", "c"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
    await audit(jobId);
  });

  it("of one task is a route of its own", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    await runToEnd(plane(), "a", "b");
    const path = `/v1/jobs/${jobId}/tasks/b/retry`;
    expect(await plane().call<Retried>(path, { method: "POST", role: "submitter" })).toMatchObject({ tasks: ["b"] });
    expect(await runToEnd(plane())).toEqual(["b"]);
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { failed: 1, completed: 1 } });
  });

  it("after a cancel brings named tasks back, and what had waited for them", async () => {
    const jobId = await plane().submit(graphJob(diamond));
    await cancel(jobId);
    await plane().foldAll();
    expect(await explainRefusal(await askRetry(jobId))).toMatch(/^409 no task of .* failed or timed out; name/);
    expect(await retry(jobId, ["build"])).toMatchObject({ dependants: 3 });
    expect(await readJob(jobId)).not.toHaveProperty("cancel");
    expect(await runToEnd(plane())).toEqual(["build", "lint", "unit", "publish"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
    await audit(jobId);
  });

  it("after the job's timeout gives the job its time again", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a" }, { timeoutMs: 10 * minuteMs }));
    plane().clock.advance(11 * minuteMs);
    await plane().sweep();
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { timed_out: 2 } });
    await retry(jobId);
    await plane().foldAll();
    plane().clock.advance(9 * minuteMs);
    await plane().sweep();
    expect(await runQueued(plane())).toEqual(["a"]);
    plane().clock.advance(2 * minuteMs);
    await plane().sweep();
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { completed: 1, timed_out: 1 } });
    await audit(jobId);
  });

  it("gives tasks all their tries again", async () => {
    const jobId = await plane().submit(noopJob(["a"], { retry: { attempts: 2 } }));
    await runToEnd(plane(), "a");
    await runToEnd(plane(), "a");
    expect(await readTask(jobId, "a")).toMatchObject({ status: "failed", attempt: 2 });
    await retry(jobId);
    await runToEnd(plane(), "a");
    await runToEnd(plane(), "a");
    expect(await readTask(jobId, "a")).toMatchObject({ status: "failed", attempt: 4 });
  });

  it("finds room for many attempts of many steps in the task's item; how each ended stays", async () => {
    const names = Array.from({ length: 100 }, (_, index) => `${"步".repeat(90)} ${index}`);
    const steps = names.map((name) => ({ kind: "process" as const, name, entry: { command: ["true"] } }));
    const jobId = await plane().submit(noopJob(["a"], { steps, retry: { attempts: 4 } }));
    const at = new Date(plane().clock.now()).toISOString();
    const result = {
      ...failedWith(7),
      steps: names.map((name, index) => ({ index: index + 1, name, startedAt: at, endedAt: at, exitCode: 0 })),
      logs: names.map((name, index) => ({ step: index + 1, name, chunks: 1, lines: 10, bytes: 1000 })),
    };
    const worker = plane().createWorker();
    for (let attempt = 1; attempt <= 8; attempt++) {
      const [claim] = await worker.claim([{ jobId, task: "a", bucket: 0 }]);
      if (claim?.status !== "claimed") throw new Error("not claimed");
      const { status } = await worker.report(claim, result as ReportedResult);
      expect(status).toBe(attempt % 4 === 0 ? "accepted" : "retry");
      if (attempt === 4) await retry(jobId);
    }
    const { attempts } = await readTask(jobId, "a");
    expect(attempts.map(({ outcome }) => outcome?.exitCode)).toEqual(Array(8).fill(7));
    expect(attempts.at(-1)?.steps).toHaveLength(100);
  });

  it("of many tasks goes through all of them", async () => {
    const jobId = await plane().submit(noopJob(taskNames(120)));
    await plane().foldAll();
    await runToEnd(plane(), ...taskNames(120));
    expect((await retry(jobId)).tasks).toHaveLength(120);
    expect(await runToEnd(plane())).toHaveLength(120);
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 120 } });
  });

  it("sent twice with one key happens once", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await runToEnd(plane(), "a");
    const headers = { "idempotency-key": "again" };
    const first = await retry(jobId, undefined, headers);
    await runToEnd(plane(), "a");
    expect(await retry(jobId, undefined, headers)).toEqual(first);
    expect(await runToEnd(plane())).toEqual([]);
    expect((await askRetry(jobId, ["a"], headers)).status).toBe(409);
  });

  it("goes on after a crash at any of its writes", async () => {
    for (let crashAt = 0; ; crashAt++) {
      const jobId = await plane().submit(graphJob({ build: "", lint: "build" }));
      await runToEnd(plane(), "build");
      let writes = 0;
      let crashed = false;
      plane().requests.intercept(async ({ writes: isWrite }, send) => {
        if (crashed) throw new Error("the process died");
        if (isWrite && writes++ === crashAt) {
          crashed = true;
          if (crashAt % 2 === 0) await send();
          throw new Error("the process died");
        }
        return send();
      });
      const answer = await askRetry(jobId);
      plane().requests.intercept(undefined);
      if (!crashed) break;
      for (let sweeps = 0; sweeps < 6; sweeps++) {
        plane().clock.advance(2 * minuteMs);
        await plane().sweep();
        await plane().foldAll();
      }
      if (answer.status !== 202 && (await readJob(jobId)).status === "failed") await retry(jobId);
      await runToEnd(plane());
      expect(await readJob(jobId), `crash at write ${crashAt}`).toMatchObject({ status: "completed" });
      await audit(jobId);
    }
  });
});

describe("a retry at the same moment", () => {
  /** Does something right before the first update that fits is sent. */
  function interject(pattern: RegExp, act: () => Promise<unknown>): () => boolean {
    let acted = false;
    plane().requests.intercept(async ({ operation, input }, send) => {
      if (!acted && operation === "UpdateItem" && pattern.test(JSON.stringify(input))) {
        acted = true;
        await act();
      }
      return send();
    });
    return () => acted;
  }

  async function foldOnly(jobId: string): Promise<void> {
    const { tasks } = await plane().deps.tasks.list({ jobId, bucketCount: 1 }, { limit: 10 });
    await plane().deps.fold.foldTasks(jobId, tasks);
  }

  const advance = (jobId: string) => workOnChore(plane().deps, jobId, "advance", Number.POSITIVE_INFINITY);

  it("as what waits for the failed task is about to be skipped wins: it waits again", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a", c: "b" }));
    await plane()
      .createWorker()
      .runAll(() => failedWith(7));
    await foldOnly(jobId);
    const retried = interject(/"skipped"/, () => retry(jobId));
    await advance(jobId);
    expect(retried()).toBe(true);
    expect(await readTask(jobId, "b")).toMatchObject({ status: "pending", waitingFor: ["a"] });
    await plane().foldAll();
    expect(await runToEnd(plane())).toEqual(["a", "b", "c"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
    await audit(jobId);
  });

  it("as what waits for the completed task is about to be queued wins: it waits again", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a" }));
    await plane().createWorker().runAll();
    await foldOnly(jobId);
    const retried = interject(/"from":"pending","to":"queued"/, () => retry(jobId, ["a"]));
    await advance(jobId);
    expect(retried()).toBe(true);
    expect(await readTask(jobId, "b")).toMatchObject({ status: "pending", waitingFor: ["a"] });
    await plane().foldAll();
    expect(await runToEnd(plane())).toEqual(["a", "b"]);
    await audit(jobId);
  });

  it("as the cancel that ended the job before is still at work in another process wins", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a" }));
    await cancel(jobId);
    const retried = interject(/"aborted"/, async () => {
      await plane().foldAll();
      expect(await readJob(jobId)).toMatchObject({ status: "aborted" });
      await retry(jobId, ["a"]);
    });
    await workOnChore(plane().startProcess(), jobId, "cancel", Number.POSITIVE_INFINITY);
    expect(retried()).toBe(true);
    await plane().foldAll();
    expect(await runToEnd(plane())).toEqual(["a", "b"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
    await audit(jobId);
  });
});

describe("a retry is refused", () => {
  it("while the job is being cancelled", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const worker = plane().createWorker();
    await worker.claimOne();
    await cancel(jobId);
    expect(await explainRefusal(await askRetry(jobId))).toMatch(/^409 job .* is being cancelled; retry/);
    await plane().foldAll();
    expect(await explainRefusal(await askRetry(jobId))).toMatch(/^409 job .* is being cancelled; retry/);
  });

  it("while a large job is being created", async () => {
    const jobId = await plane().submit(noopJob(taskNames(150)));
    expect(await explainRefusal(await askRetry(jobId, ["t0001"]))).toMatch(/^409 .*still being created; try again/);
  });

  it("where it is about nothing, or about what has not ended", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    expect(await explainRefusal(await askRetry(jobId))).toMatch(/^409 no task of .* failed or timed out/);
    expect(await explainRefusal(await askRetry(jobId, ["a"]))).toMatch(/^409 task a has not ended yet; only/);
    expect(await explainRefusal(await askRetry(jobId, ["a", "b"]))).toMatch(/^409 tasks a, b have not ended yet/);
  });

  it("where names are unknown, or the job is", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    expect(await explainRefusal(await askRetry(jobId, ["x", "y"]))).toMatch(/^404 job .* has no task x, y;/);
    expect((await askRetry("none-01ke6jq300q6vvx49qnd6cvxan")).status).toBe(404);
  });

  it("of a task whose need did not complete and is not retried with it", async () => {
    const jobId = await plane().submit(graphJob(diamond));
    await runToEnd(plane(), "build");
    expect(await explainRefusal(await askRetry(jobId, ["lint"]))).toMatch(/^409 task lint needs build, which did not/);
    expect(await retry(jobId, ["lint", "build"])).toMatchObject({ tasks: ["lint", "build"] });
  });

  it("of a task that has had all the attempts there are", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    await runToEnd(plane(), "a", "b");
    await updateItem(plane().table, {
      Key: taskKey(jobId, 0, "a"),
      UpdateExpression: "SET attempt = :all",
      ExpressionAttributeValues: { ":all": maxAttempts },
    });
    expect(await explainRefusal(await askRetry(jobId, ["a", "b"]))).toMatch(/^409 task a has had 50 attempts/);
    expect((await retry(jobId)).tasks).toEqual(["b"]);
  });

  it("to who may only look", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const path = `/v1/jobs/${jobId}/retry`;
    expect((await plane().request(path, { method: "POST", role: "viewer" })).status).toBe(403);
  });
});
