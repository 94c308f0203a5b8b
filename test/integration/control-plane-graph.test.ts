import { describe, expect, it } from "vitest";
import type { Cancelled, EventPage, Job, Task } from "../../shared/api/schemas.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed, ended, failedWith, type ReportedResult } from "../support/control-plane-worker.ts";
import { diamond, graphJob } from "../support/graph-jobs.ts";

const plane = useControlPlane();
const minuteMs = 60_000;
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const readTask = (jobId: string, task: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);
const post = (path: string) => plane().call<Cancelled>(path, { method: "POST", role: "submitter" });

/** Runs all that waits in the queue, by name, as told; counts it. Answers what ran. */
async function runQueued(ends: Record<string, ReportedResult> = {}): Promise<string[]> {
  const worker = plane().createWorker();
  const ran: string[] = [];
  await worker.runAll(({ task }) => {
    ran.push(task);
    return ends[task] ?? completed();
  });
  await plane().foldAll();
  return ran.sort();
}

describe("tasks with needs", () => {
  it("start when all they need has completed, and no sooner", async () => {
    const jobId = await plane().submit(graphJob(diamond));
    expect(await readJob(jobId)).toMatchObject({ status: "queued", counts: { pending: 3, queued: 1 } });
    expect(await readTask(jobId, "publish")).toMatchObject({ status: "pending", waitingFor: ["lint", "unit"] });
    expect(await runQueued()).toEqual(["build"]);
    expect(await runQueued()).toEqual(["lint", "unit"]);
    expect(await readJob(jobId)).toMatchObject({ status: "running", counts: { completed: 3, queued: 1 } });
    expect(await runQueued()).toEqual(["publish"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 4 } });
    // What it needed is told for good.
    expect(await readTask(jobId, "publish")).toMatchObject({ needs: ["lint", "unit"], pool: "default", env: {} });
    const chore = await plane().deps.jobs.getChore(jobId, "advance");
    expect(chore).toBeDefined();
    expect(chore).not.toHaveProperty("duePk");
  });

  it.each([
    ["failed", failedWith(7), "skipped", "which failed", "failed"],
    [
      "timed out",
      ended({ state: "timed_out", reason: reasonFor("timed_out", "late") }),
      "skipped",
      "which timed out",
      "failed",
    ],
    [
      "was skipped",
      ended({ state: "skipped", reason: reasonFor("exit_code", "43") }),
      "skipped",
      "which was skipped",
      "completed",
    ],
    [
      "was aborted",
      ended({ state: "aborted", reason: reasonFor("cancelled", "asked") }),
      "aborted",
      "which was aborted",
      "aborted",
    ],
  ] as const)(
    "end without running when one they need %s, and so do those behind them",
    async (_, end, state, detail, outcome) => {
      const jobId = await plane().submit(graphJob({ a: "", b: "a", c: "b", other: "" }));
      expect(await runQueued({ a: end })).toEqual(["a", "other"]);
      expect(await runQueued()).toEqual([]);
      const b = await readTask(jobId, "b");
      expect(b).toMatchObject({ status: state, attempt: 0, reason: { code: "dependency_failed", fault: "user" } });
      expect(b.reason?.detail).toBe(`needs a, ${detail}`);
      expect(await readTask(jobId, "c")).toMatchObject({ status: state, reason: { code: "dependency_failed" } });
      expect((await readJob(jobId)).status).toBe(outcome);
    },
  );

  it("bear the fault of what they need", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a", c: "b" }));
    const worker = plane().createWorker();
    for (let attempt = 0; attempt < 5; attempt++) {
      const [claim] = await worker.claim([{ jobId, task: "a", bucket: 0 }]);
      if (claim?.status !== "claimed") throw new Error("not claimed");
      await worker.report(claim, ended({ state: "failed", reason: reasonFor("image_unavailable", "no registry") }));
    }
    await plane().foldAll();
    expect((await readTask(jobId, "c")).reason).toEqual({
      code: "dependency_failed",
      detail: "needs b, which was skipped",
      fault: "infrastructure",
    });
  });

  it("are not run by a message that comes too soon", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a" }));
    const [claim] = await plane()
      .createWorker()
      .claim([{ jobId, task: "b", bucket: 0 }]);
    expect(claim).toMatchObject({ status: "drop", detail: expect.stringContaining("waits for others") });
    expect(await readTask(jobId, "b")).toMatchObject({ status: "pending" });
  });

  it("go on by the sweep alone, whatever triggers and messages are lost", async () => {
    const jobId = await plane().submit(graphJob(diamond));
    const worker = plane().createWorker();
    await worker.runAll();
    for (let rounds = 0; rounds < 12 && (await readJob(jobId)).status !== "completed"; rounds++) {
      const queue = plane().deps.pools.get("default")?.queue;
      if (rounds % 2 === 0) {
        const lost = (await queue?.receive({ maxMessages: 10, waitSeconds: 0 })) ?? [];
        await queue?.delete(lost.map(({ receiptHandle }) => receiptHandle));
      } else await worker.runAll();
      plane().clock.advance(3 * minuteMs);
      expect((await plane().sweep()).failed).toBe(0);
    }
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 4 } });
  });

  it("are announced again by the sweep where a crash came between their move and their message", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a" }));
    await plane().createWorker().runAll();
    let crashes = 0;
    plane().requests.intercept(async ({ service, operation }, send) => {
      if (service !== "sqs" || !operation.startsWith("Send")) return send();
      crashes += 1;
      throw new Error("the process died");
    });
    await plane().foldAll();
    plane().requests.intercept(undefined);
    expect(crashes).toBeGreaterThan(0);
    expect(await readTask(jobId, "b")).toMatchObject({ status: "queued" });
    expect(await runQueued()).toEqual([]);
    plane().clock.advance(3 * minuteMs);
    await plane().sweep();
    await plane().sweep();
    expect(await runQueued()).toEqual(["b"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
  });

  it("of a large job wait until all tasks are there, then go on", async () => {
    const names = Array.from({ length: 150 }, (_, index) => `t${index}`);
    const needs = Object.fromEntries(names.map((name) => [name, "root"]));
    const jobId = await plane().submit(graphJob({ ...needs, root: "", end: names.join(" ") }));
    expect(await readJob(jobId)).toMatchObject({ counts: { pending: 151, queued: 1 } });
    await plane().foldAll();
    expect(await runQueued()).toEqual(["root"]);
    expect(await runQueued()).toHaveLength(150);
    expect(await runQueued()).toEqual(["end"]);
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 152 } });
  });

  it("tell their moves each once", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a" }));
    await runQueued();
    await runQueued();
    const { events } = await plane().call<EventPage>(`/v1/jobs/${jobId}/events`);
    const moves = events.flatMap((event) => (event.type === "task.transition" && event.task === "b" ? [event.to] : []));
    expect(moves).toEqual(["queued", "running", "completed"]);
  });

  it("are one job however often it is submitted with one key", async () => {
    const headers = { "idempotency-key": "graph" };
    const jobId = await plane().submit(graphJob(diamond), headers);
    expect(await plane().submit(graphJob(diamond), headers)).toBe(jobId);
    const answer = await plane().request("/v1/jobs", {
      body: { spec: graphJob({ a: "" }) },
      headers,
      role: "submitter",
    });
    expect(answer.status).toBe(409);
  });

  it("are refused where they need what is not there, each with its place", async () => {
    const answer = await plane().request("/v1/jobs", {
      body: { spec: graphJob({ a: "c", b: "unitt", unit: "", c: "a" }) },
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      code: "invalid_job",
      problems: [
        { path: "spec.tasks[0].needs[0]", message: expect.stringContaining("a → c → a") },
        { path: "spec.tasks[1].needs[0]", message: "there is no task 'unitt'; did you mean 'unit'?" },
      ],
    });
  });
});

describe("the end of a job with tasks that wait for others", () => {
  it("comes by a cancel of the job", async () => {
    const jobId = await plane().submit(graphJob(diamond));
    await post(`/v1/jobs/${jobId}/cancel`);
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "aborted", counts: { aborted: 4 } });
    expect((await readTask(jobId, "publish")).reason?.code).toBe("cancelled");
  });

  it("comes by the cancel of a task that waits, for what waits behind it", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a", c: "b" }));
    await post(`/v1/jobs/${jobId}/tasks/b/cancel`);
    await plane().foldAll();
    expect(await readTask(jobId, "c")).toMatchObject({
      status: "aborted",
      reason: { code: "dependency_failed", detail: "needs b, which was aborted" },
    });
    expect(await runQueued()).toEqual(["a"]);
    expect(await readJob(jobId)).toMatchObject({ status: "aborted", counts: { completed: 1, aborted: 2 } });
  });

  it("comes by an abort policy", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "", c: "b" }, { abort: "on-error" }));
    const worker = plane().createWorker();
    const [claim] = await worker.claim([{ jobId, task: "a", bucket: 0 }]);
    if (claim?.status !== "claimed") throw new Error("not claimed");
    await worker.report(claim, failedWith(7));
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { failed: 1, aborted: 2 } });
  });

  it("comes by the job's timeout", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "a" }, { timeoutMs: minuteMs }));
    plane().clock.advance(2 * minuteMs);
    await plane().sweep();
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { timed_out: 2 } });
    expect(await readTask(jobId, "b")).toMatchObject({ status: "timed_out", reason: { code: "timed_out" } });
  });
});
