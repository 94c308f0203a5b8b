import { describe, expect, it } from "vitest";
import type { Problem, Why } from "../../shared/api/schemas.ts";
import { whySchema } from "../../shared/api/schemas.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import type { FactOf, WhyFact } from "../../shared/domain/why-facts.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { createShipper } from "../support/control-plane-logs.ts";
import { completed, ended, failedByInfrastructure, failedWith } from "../support/control-plane-worker.ts";

const plane = useControlPlane({ pools: ["default", "large"] });

async function why(jobId: string, task = "a"): Promise<Why> {
  const answer = await plane().call<Why>(`/v1/jobs/${jobId}/tasks/${task}/why`, { role: "viewer" });
  expect(whySchema.parse(answer)).toEqual(answer);
  expect(answer).toMatchObject({ job: jobId, task, at: new Date(plane().clock.now()).toISOString() });
  return answer;
}

function fact<Kind extends WhyFact["kind"]>(answer: Why, kind: Kind): FactOf<Kind> {
  const found = answer.facts.find((each) => each.kind === kind);
  if (!found) throw new Error(`no ${kind} in ${JSON.stringify(answer)}`);
  const { kind: _kind, ...evidence } = found;
  return evidence as unknown as FactOf<Kind>;
}

/** A registered worker of four slots, which tells how many of them are free. */
async function startWorker(slotsFree = 0) {
  const worker = plane().createWorker();
  await worker.register();
  const beat = (state: "alive" | "draining" | "stopped", free: number) =>
    plane().call(`/v1/workers/${worker.workerId}/heartbeat`, {
      body: { state, slotsFree: free, attempts: [] },
      role: "worker",
    });
  await beat("alive", slotsFree);
  return { ...worker, tell: beat };
}

describe("why a task waits", () => {
  it("follows the pool's workers: none, gone, draining, full, too small, free", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    expect(await why(jobId)).toMatchObject({ status: "queued", code: "no_workers" });
    const worker = await startWorker(0);
    const full = await why(jobId);
    expect(full.code).toBe("no_free_slots");
    expect(fact(full, "pool")).toMatchObject({ pool: "default", workers: 1, slots: 4, slotsUsed: 4 });
    await worker.tell("alive", 4);
    expect((await why(jobId)).code).toBe("about_to_start");
    const large = await plane().submit(noopJob([], { tasks: [{ name: "a", slots: 5 }] }));
    expect((await why(large)).code).toBe("larger_than_any_worker");
    await plane().call(`/v1/workers/${worker.workerId}/drain`, { method: "POST" });
    expect((await why(jobId)).code).toBe("all_draining");
    await worker.tell("stopped", 4);
    plane().clock.advance(60_000);
    const gone = await why(jobId);
    expect(gone).toMatchObject({ code: "no_workers", summary: expect.stringContaining("seen 60 s ago") });
    expect((await why(await plane().submit(noopJob(["a"], { pool: "large" })))).summary).toContain("none was ever");
  });

  it("counts the tasks of jobs that came earlier and still wait, whatever else there was", async () => {
    await startWorker(0);
    await plane().submit(noopJob(taskNames(3)));
    await plane().createWorker().runAll();
    plane().clock.advance(1);
    await startWorker(0);
    const first = await plane().submit(noopJob(taskNames(5)));
    plane().clock.advance(1);
    await plane().submit(noopJob(["a"], { pool: "large" }));
    plane().clock.advance(1);
    const second = await plane().submit(noopJob(["a", "b"]));
    plane().clock.advance(1);
    await plane().submit(noopJob(taskNames(7)));
    await plane().foldAll();
    expect(fact(await why(second), "queue")).toEqual({ tasksBefore: 5, jobsBefore: 1, more: false, sameJob: 1 });
    expect(fact(await why(first, "t0001"), "queue")).toMatchObject({ tasksBefore: 0, jobsBefore: 0, sameJob: 4 });
  });

  it("reads no more after many jobs that have ended", async () => {
    await startWorker(0);
    await why(await plane().submit(noopJob(["a"])));
    const count = async (jobId: string) => {
      plane().requests.reset();
      await why(jobId);
      return plane().requests.counts();
    };
    await plane().createWorker().runAll();
    await plane().foldAll();
    const before = await count(await plane().submit(noopJob(["a"])));
    for (let job = 0; job < 20; job++) await plane().submit(noopJob(["a"]));
    await plane().createWorker().runAll();
    await plane().foldAll();
    expect(await count(await plane().submit(noopJob(["a"])))).toEqual(before);
  });

  it("is the tasks it needs, until they have completed", async () => {
    const spec = noopJob([], { tasks: [{ name: "a", needs: ["b", "c"] }, { name: "b" }, { name: "c" }] });
    const jobId = await plane().submit(spec);
    const worker = await startWorker(4);
    const claimed = await worker.claimOne();
    const other = claimed.task === "b" ? "c" : "b";
    const answer = await why(jobId);
    expect(answer).toMatchObject({ status: "pending", code: "needs" });
    expect(answer.facts.filter(({ kind }) => kind === "need")).toEqual([
      { kind: "need", task: "b", status: other === "b" ? "queued" : "running" },
      { kind: "need", task: "c", status: other === "c" ? "queued" : "running" },
    ]);
    await worker.report(claimed, completed());
    await plane().foldAll();
    expect((await why(jobId)).summary).toBe(`a waits for ${other} (queued)`);
    await worker.runAll();
    expect((await why(jobId)).summary).toContain("all that it needs has completed");
    plane().clock.advance(5_000);
    await worker.tell("alive", 4);
    await plane().foldAll();
    const queued = await why(jobId);
    expect(queued).toMatchObject({ status: "queued", code: "about_to_start" });
    expect(fact(queued, "waiting").since).toBe(queued.at);
  });

  it("is a task it needs that failed, before and after that was acted on", async () => {
    const jobId = await plane().submit(noopJob([], { tasks: [{ name: "a", needs: ["b"] }, { name: "b" }] }));
    const worker = plane().createWorker();
    await worker.report(await worker.claimOne(), failedWith(7));
    expect(await why(jobId)).toMatchObject({ code: "needs", summary: "a will not start: it needs b (failed)" });
    await plane().foldAll();
    expect(await why(jobId)).toMatchObject({ status: "skipped", code: "skipped" });
  });

  it("is a message that may not have been sent, until the sweep has sent it", async () => {
    plane().requests.intercept(async ({ service }, send) => {
      if (service === "sqs") throw new Error("the queue is away");
      return send();
    });
    const jobId = await plane().submit(noopJob(["a"]));
    plane().requests.intercept(undefined);
    plane().clock.advance(20_000);
    const worker = await startWorker(4);
    const answer = await why(jobId);
    expect(answer).toMatchObject({ code: "not_announced", summary: expect.stringContaining("again in 40 s") });
    plane().clock.advance(60_000);
    await plane().sweep();
    await worker.tell("alive", 4);
    expect((await why(jobId)).code).toBe("about_to_start");
  });

  it("is the pause before the next attempt, then the wait for a slot", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    await worker.report(await worker.claimOne(), failedByInfrastructure());
    await plane().foldAll();
    const answer = await why(jobId);
    expect(answer).toMatchObject({ code: "retry_backoff", summary: expect.stringContaining("image unavailable") });
    expect(fact(answer, "attempt")).toMatchObject({ attempt: 1, status: "failed", workerId: worker.workerId });
    plane().clock.advance(1_000);
    await startWorker(0);
    expect((await why(jobId)).code).toBe("no_free_slots");
  });

  it("is its end, as soon as somebody asked for it or its job's timeout has passed", async () => {
    const jobId = await plane().submit(noopJob(["a"], { timeoutMs: 60_000 }));
    plane().clock.advance(60_001);
    expect(await why(jobId)).toMatchObject({ status: "queued", code: "cancelling" });
    await plane().call(`/v1/jobs/${jobId}/cancel`, { method: "POST", role: "submitter" });
    expect((await why(jobId)).summary).toContain("cancelled by test-submitter");
  });

  it("is a large job that is being written down, for the tasks that it has and for no others", async () => {
    const jobId = await plane().submit(noopJob(taskNames(250)));
    const answer = await why(jobId, "t0250");
    expect(answer).toMatchObject({ status: "queued", code: "being_written" });
    expect(fact(answer, "expansion")).toEqual({ written: 0, total: 250 });
    const unknown = await plane().request(`/v1/jobs/${jobId}/tasks/t0251/why`);
    expect((await unknown.json()) as Problem).toMatchObject({ status: 404, code: "not_found" });
    await plane().foldAll();
    expect((await why(jobId, "t0250")).code).toBe("no_workers");
  });
});

describe("where a task runs", () => {
  it("is told with worker, lease and the newest step that wrote; then that the worker is silent", async () => {
    const steps = ["build", "test"].map((name) => {
      return { kind: "process" as const, name, entry: { command: ["true"] } };
    });
    const jobId = await plane().submit(noopJob(["a"], { steps }));
    const worker = await startWorker(0);
    const claimed = await worker.claimOne();
    expect((await why(jobId)).facts.some(({ kind }) => kind === "step")).toBe(false);
    await createShipper(plane(), claimed).ship(2, ["line"]);
    const answer = await why(jobId);
    expect(answer).toMatchObject({ status: "running", code: "running" });
    expect(fact(answer, "step")).toEqual({ step: 2, name: "test", steps: 2 });
    expect(fact(answer, "worker")).toMatchObject({ workerId: worker.workerId, host: "here", state: "alive" });
    plane().clock.advance(16_000);
    expect((await why(jobId)).code).toBe("worker_silent");
    await worker.beat([claimed]);
    expect((await why(jobId)).code).toBe("running");
    await plane().call(`/v1/jobs/${jobId}/tasks/a/cancel`, { method: "POST" });
    expect(await why(jobId)).toMatchObject({ status: "running", code: "being_cancelled" });
  });
});

describe("why a task ended so", () => {
  it("is its reason, the failing step and the last lines that this step wrote", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    const shipper = createShipper(plane(), claimed);
    for (let chunk = 0; chunk < 40; chunk++) await shipper.ship(1, [`line-${chunk}`]);
    await shipper.ship(2, ["of the next step"]);
    const at = new Date(plane().clock.now()).toISOString();
    const steps = [
      { index: 1, name: "build", startedAt: at, endedAt: at, exitCode: 7 },
      { index: 2, name: "after", startedAt: at, endedAt: at, exitCode: 0 },
    ];
    const logs = [{ step: 1, name: "build", chunks: 40, lines: 40, bytes: 400 }];
    const reason = reasonFor("exit_code", "build exited with 7");
    await worker.report(claimed, ended({ state: "failed", exitCode: 7, reason }, { steps, logs }));
    const answer = await why(jobId);
    expect(answer).toMatchObject({ status: "failed", code: "failed", summary: "a failed: build exited with 7" });
    expect(fact(answer, "reason")).toEqual(reason);
    expect(fact(answer, "step")).toMatchObject({ step: 1, name: "build", steps: 2, exitCode: 7 });
    const texts = fact(answer, "log").lines.map(({ text }) => text);
    expect(texts).toEqual(Array.from({ length: 20 }, (_, index) => `line-${index + 20}`));
  });

  it("holds no more of a log than is read at a glance", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const worker = plane().createWorker();
    for (const texts of [["x".repeat(10_000)], ["first", "y".repeat(3_000), "z".repeat(3_000), "last"]]) {
      const claimed = await worker.claimOne();
      await createShipper(plane(), claimed).ship(1, texts);
      await worker.report(claimed, ended({ state: "timed_out", reason: reasonFor("timed_out", "too long") }));
      const { lines } = fact(await why(jobId, claimed.task), "log");
      if (texts.length === 1) expect(lines).toMatchObject([{ text: "x".repeat(4096), cut: true }]);
      else expect(lines.map(({ text }) => text.length)).toEqual([3_000, 4]);
    }
  });

  it("is nothing but its attempts where it completed", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    await worker.report(await worker.claimOne(), completed());
    const answer = await why(jobId);
    expect(answer).toMatchObject({ code: "completed", summary: "a completed" });
    expect(answer.facts.map(({ kind }) => kind)).toEqual(["attempt"]);
  });

  it("is not found for a job or a task that there is not", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    for (const path of [`/v1/jobs/${jobId}/tasks/zz/why`, "/v1/jobs/no-such/tasks/a/why"]) {
      const response = await plane().request(path);
      expect({ path, status: response.status }).toEqual({ path, status: 404 });
    }
  });
});
