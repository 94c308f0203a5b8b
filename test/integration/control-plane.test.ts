import { describe, expect, it } from "vitest";
import type { ArtifactList } from "../../shared/api/artifact-schemas.ts";
import type { EventPage, Job, SubmittedJob, Task, WorkerPage } from "../../shared/api/schemas.ts";
import { artifactKey } from "../../shared/domain/object-keys.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { timing } from "../../shared/domain/timing.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed, ended, failedByInfrastructure, failedWith, released } from "../support/control-plane-worker.ts";

const plane = useControlPlane();
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const readTask = (jobId: string, task: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);

describe("a job", () => {
  it("goes from submit to completed, with exact counts and gapless events", async () => {
    const answer = await plane().call<SubmittedJob>("/v1/jobs", { body: { spec: noopJob(taskNames(3)) } });
    expect(answer).toMatchObject({ tasks: 3, created: true, url: expect.stringContaining(`/jobs/${answer.job}`) });
    expect(await readJob(answer.job)).toMatchObject({
      job: answer.job,
      status: "queued",
      total: 3,
      counts: { queued: 3, running: 0 },
      submittedBy: "test-admin",
      lastEvent: 1,
    });
    expect(await plane().createWorker().runAll()).toBe(3);
    await plane().foldAll();
    const job = await readJob(answer.job);
    expect(job).toMatchObject({ status: "completed", total: 3, counts: { completed: 3, queued: 0, running: 0 } });
    expect(job).toMatchObject({ startedAt: expect.any(String), endedAt: expect.any(String), lastEvent: 9 });
    const { events } = await plane().call<EventPage>(`/v1/jobs/${answer.job}/events`);
    expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
    expect(events.map((event) => event.jobId)).toEqual(events.map(() => answer.job));
    expect(events[0]).toMatchObject({ type: "job.submitted", name: "noop", pool: "default", tasks: 3 });
    expect(events.at(-1)).toMatchObject({ type: "job.ended", state: "completed", counts: { completed: 3 } });
  });

  it("is read with exactly one item, whatever its size and state", async () => {
    for (const tasks of [1, 90, 600]) {
      const jobId = await plane().submit(noopJob(taskNames(tasks)));
      await readJob(jobId);
      const read: unknown[] = [];
      plane().requests.intercept((request, send) => {
        read.push(
          ...Object.values(request.input.RequestItems as Record<string, { Keys: unknown[] }>).flatMap(
            ({ Keys }) => Keys,
          ),
        );
        return send();
      });
      plane().requests.reset();
      await readJob(jobId);
      plane().requests.intercept(undefined);
      expect(plane().requests.counts()).toEqual({ "dynamodb.BatchGetItem": 1 });
      expect(read).toHaveLength(1);
    }
  });

  it("that fails says why, task by task", async () => {
    const jobId = await plane().submit(noopJob(["good", "bad", "flaky", "absent"]));
    const results = {
      good: completed(),
      bad: failedWith(7),
      flaky: failedWith(42),
      absent: ended({ state: "skipped", exitCode: 43, reason: reasonFor("exit_code", "true exited with 43") }),
    };
    await plane()
      .createWorker()
      .runAll(({ task }) => results[task as keyof typeof results]);
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { completed: 1, failed: 2, skipped: 1 } });
    expect(await readTask(jobId, "bad")).toMatchObject({
      status: "failed",
      exitCode: 7,
      reason: { code: "exit_code", fault: "user", detail: "true exited with 7" },
    });
    expect(await readTask(jobId, "flaky")).toMatchObject({ status: "failed", exitCode: 42, warning: true });
    expect(await readTask(jobId, "absent")).toMatchObject({ status: "skipped", exitCode: 43 });
    expect(await readTask(jobId, "good")).not.toHaveProperty("reason");
  });

  it("of an unknown pool is refused with the pools there are", async () => {
    const response = await plane().request("/v1/jobs", { body: { spec: noopJob(["a"], { pool: "gpu" }) } });
    expect(await response.json()).toMatchObject({
      status: 400,
      code: "unknown_pool",
      detail: 'there is no pool "gpu"; the pools are: default',
    });
  });
});

describe("a task", () => {
  it("shows its attempts, without the secrets of their leases", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const first = await worker.claimOne();
    await worker.report(first, released());
    const [second] = await worker.claim([{ jobId, task: "a", bucket: 0 }]);
    if (second?.status !== "claimed") throw new Error("not claimed");
    await worker.report(second, failedByInfrastructure());
    const [third] = await worker.claim([{ jobId, task: "a", bucket: 0 }]);
    if (third?.status !== "claimed") throw new Error("not claimed");
    const task = await readTask(jobId, "a");
    expect(task).toMatchObject({
      status: "running",
      attempt: 3,
      workerId: worker.workerId,
      attempts: [
        { attempt: 1, outcome: { reason: { code: "drained" } } },
        { attempt: 2, outcome: { state: "failed", reason: { code: "image_unavailable" } } },
        { attempt: 3, claimedAt: expect.any(String) },
      ],
    });
    expect(JSON.stringify(task)).not.toContain(third.leaseToken);
    expect(JSON.stringify(task)).not.toContain("leaseToken");
  });

  it("gives its worker all it needs to run: env of job and task, steps, timeout", async () => {
    const tasks = [{ name: "a", slots: 3, timeoutMs: 5000, env: { SHARED: "task", OWN: "1" } }];
    await plane().submit(noopJob([], { tasks, env: { SHARED: "job", JOB: "2" } }));
    expect(await plane().createWorker().claimOne()).toMatchObject({
      attempt: 1,
      slots: 3,
      timeoutMs: 5000,
      env: { SHARED: "task", OWN: "1", JOB: "2" },
      steps: [{ kind: "process", name: "true", entry: { command: ["true"] } }],
      artifacts: { paths: ["**"] },
      images: {},
    });
  });

  it("makes another worker wait for as long as its lease lasts", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await plane().createWorker().claimOne();
    plane().clock.advance(12_000);
    const [claim] = await plane()
      .createWorker()
      .claim([{ jobId, task: "a", bucket: 0 }]);
    expect(claim).toMatchObject({ status: "wait", retryAfterSeconds: (timing.leaseMs - 12_000) / 1000 });
  });
});

describe("artifacts", () => {
  it("are listed with links that lead to their bytes", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    const key = artifactKey(jobId, "a", 1);
    await plane().deps.objects.put(key, "archive", "application/zstd");
    const artifact = { key, name: "a.tar.zst", size: 7, sha256: "0".repeat(64) };
    await worker.report(claimed, ended({ state: "failed", exitCode: 7 }, { artifacts: [artifact] }));
    const list = await plane().call<ArtifactList>(`/v1/jobs/${jobId}/tasks/a/artifacts`, { role: "viewer" });
    expect(list).toMatchObject({ attempt: 1, artifacts: [{ name: "a.tar.zst", size: 7, sha256: artifact.sha256 }] });
    expect(list.artifacts[0]).not.toHaveProperty("key");
    const fetched = await fetch(list.artifacts[0]?.url ?? "");
    expect(await fetched.text()).toBe("archive");
    expect(fetched.headers.get("content-disposition")).toContain("a.tar.zst");
    const summary = await plane().call<{ tasks: Task[] }>(`/v1/jobs/${jobId}/tasks`);
    expect(summary.tasks[0]).toMatchObject({ artifacts: [{ name: "a.tar.zst", size: 7 }] });
  });

  it("are none before the first attempt, and not found for an attempt that was not", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const path = `/v1/jobs/${jobId}/tasks/a/artifacts`;
    expect(await plane().call(path)).toEqual({ attempt: 0, status: "queued", artifacts: [], expired: [] });
    expect((await plane().request(`${path}?attempt=1`)).status).toBe(404);
    expect((await plane().request(`${path}?attempt=0`)).status).toBe(400);
  });
});

describe("workers", () => {
  it("register, tell that they live, and hear that they are to drain", async () => {
    const worker = plane().createWorker();
    expect((await worker.beat([]).catch((error: Error) => error.message)) as string).toContain("404");
    await worker.register();
    const list = () => plane().call<WorkerPage>("/v1/workers");
    expect((await list()).workers).toMatchObject([{ workerId: worker.workerId, state: "starting", slots: 4 }]);
    plane().clock.advance(7_000);
    expect(await worker.beat([])).toEqual({ drain: false, attempts: [] });
    expect((await list()).workers).toMatchObject([
      { state: "alive", lastSeenAt: new Date(plane().clock.now()).toISOString() },
    ]);
    const drain = await plane().call(`/v1/workers/${worker.workerId}/drain`, { method: "POST", role: "operator" });
    expect(drain).toEqual({ workerId: worker.workerId, status: "draining" });
    expect(await worker.beat([], "draining")).toEqual({ drain: true, attempts: [] });
    await worker.beat([], "stopped");
    expect((await list()).workers).toMatchObject([{ state: "stopped" }]);
  });

  it("hear at once what they work with", async () => {
    const workerId = plane().createWorker().workerId;
    const description = { pool: "default", slots: 1, provider: "local", host: "h", version: "0", processSteps: false };
    const settings = await plane().call("/v1/workers", { body: { workerId, ...description }, role: "worker" });
    expect(settings).toEqual({
      queueUrl: plane().deps.pools.get("default")?.queueUrl,
      bucket: plane().deps.bucketName,
      heartbeatMs: timing.heartbeatMs,
      leaseMs: timing.leaseMs,
      visibilityTimeoutSeconds: timing.visibilityTimeoutSeconds,
    });
    const unknown = { workerId, ...description, pool: "gpu" };
    const response = await plane().request("/v1/workers", { body: unknown, role: "worker" });
    expect(await response.json()).toMatchObject({ status: 400, code: "unknown_pool" });
  });

  it("renew what they hold, and lose what they do not", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const worker = plane().createWorker();
    await worker.register();
    const [held, lost] = [await worker.claimOne(), await worker.claimOne()];
    plane().clock.advance(timing.leaseMs + 1);
    const answer = await worker.beat([held]);
    expect(answer.attempts).toEqual([{ attemptId: held.attemptId, lease: "renewed", watched: false }]);
    const [taken] = await plane()
      .createWorker()
      .claim([{ jobId, task: lost.task, bucket: 0 }]);
    expect(taken).toMatchObject({ status: "claimed", attempt: 2 });
    const strange = { ...held, attemptId: "no.attempt" };
    expect((await worker.beat([held, lost, strange])).attempts.map(({ lease }) => lease)).toEqual([
      "renewed",
      "lost",
      "lost",
    ]);
    expect(await worker.report(lost, completed())).toEqual({ status: "lost" });
  });

  it("are told plainly that an attempt id is none", async () => {
    const body = { leaseToken: "t", result: released() };
    const response = await plane().request("/v1/attempts/nonsense/result", { body, role: "worker" });
    expect(await response.json()).toMatchObject({ status: 400, code: "invalid_request" });
    const missing = "/v1/attempts/none-01ke6jq300q6vvx49qnd6cvxan.0.a.1/result";
    expect(await plane().call(missing, { body, role: "worker" })).toEqual({ status: "lost" });
  });
});
