import { describe, expect, it } from "vitest";
import { type Overview, overviewSchema, type WorkerDetail } from "../../shared/api/overview-schemas.ts";
import type { Worker } from "../../shared/api/schemas.ts";
import { timing } from "../../shared/domain/timing.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { type EventReader, readEvents } from "../support/control-plane-sse.ts";
import { completed, type FakeWorker, failedByInfrastructure, failedWith } from "../support/control-plane-worker.ts";

const plane = useControlPlane({ pools: ["default", "large"] });
/** After so long every part of an overview is looked at again. */
const allLooksMs = 10_000;

async function startWorker(pool?: string): Promise<FakeWorker> {
  const worker = plane().createWorker(pool);
  await worker.register();
  await worker.beat();
  return worker;
}

/** An overview of which no part was remembered. */
async function readOverview(parts?: string): Promise<Overview> {
  plane().clock.advance(allLooksMs);
  return overviewSchema.parse(await plane().call(`/v1/overview${parts ? `?parts=${parts}` : ""}`));
}

async function follow(path: string): Promise<EventReader> {
  return readEvents(await plane().request(path, { headers: { accept: "text/event-stream" }, role: "viewer" }));
}

/** Jobs of one task each, which ends so. */
async function endJobs(count: number, exitCode: number): Promise<string[]> {
  const jobIds: string[] = [];
  while (jobIds.length < count) jobIds.push(await plane().submit(noopJob(["a"])));
  plane().clock.advance(5);
  await plane()
    .createWorker()
    .runAll(() => (exitCode === 0 ? completed() : failedWith(exitCode)));
  await plane().foldAll();
  return jobIds;
}

describe("the overview", () => {
  it("tells pools, queues, jobs, why attempts failed, and events", async () => {
    const submittedAt = new Date(plane().clock.now()).toISOString();
    const active = await plane().submit(noopJob(["a", "b", "c"]));
    const worker = await startWorker();
    const lost = await worker.claimOne();
    await worker.beat([lost]);
    await plane().foldAll();
    const before = await readOverview();
    expect(before.queues).toEqual([
      { pool: "default", visible: 2, inFlight: 1, delayed: 0, oldestQueuedAt: submittedAt, deadLetters: 0 },
      { pool: "large", visible: 0, inFlight: 0, delayed: 0, deadLetters: 0 },
    ]);
    expect(before.pools).toMatchObject([{ pool: "default", held: 1 }, { pool: "large" }]);
    expect(before.jobs).toMatchObject({
      active: [{ job: active, reasons: {} }],
      activeCount: 1,
      more: false,
      ended: [],
    });
    expect(before.failures).toMatchObject({ jobs: 1, more: false, reasons: [] });
    expect(before.events?.map(({ type }) => type)).toEqual(["scale_up", "worker_started"]);

    // One attempt fails for the infrastructure's sake and is tried again; what runs then fails by itself.
    await worker.report(lost, failedByInfrastructure());
    await worker.beat();
    plane().clock.advance(timing.leaseMs);
    await worker.claim([{ jobId: active, task: lost.task, bucket: 0 }]).then(async ([claim]) => {
      if (claim?.status === "claimed") await worker.report(claim, failedWith(1));
    });
    await worker.runAll(() => failedWith(1));
    await plane().foldAll();
    const [other] = await endJobs(1, 1);
    const [good] = await endJobs(1, 0);
    const after = await readOverview();
    expect(after.jobs).toMatchObject({ active: [], activeCount: 0 });
    expect(after.jobs?.ended.map(({ job }) => job)).toEqual([good, other, active]);
    expect(after.failures).toMatchObject({
      jobs: 3,
      reasons: [
        { code: "exit_code", fault: "user", attempts: 4, jobs: 2, lastJob: other },
        { code: "image_unavailable", fault: "infrastructure", attempts: 1, jobs: 1, lastJob: active },
      ],
    });
    // Of a job that was submitted the day before nothing is told.
    plane().clock.advance(25 * 3600_000);
    const nextDay = await readOverview("failures,jobs");
    expect(Object.keys(nextDay)).toEqual(["at", "jobs", "failures"]);
    expect(nextDay).toMatchObject({ jobs: { ended: [] }, failures: { jobs: 0, reasons: [] } });
    expect((await plane().request("/v1/overview?parts=jobs,cost")).status).toBe(400);
  });

  it("costs the same after many jobs as after few, and for several that look at once as for one", async () => {
    const worker = await startWorker();
    await plane().submit(noopJob(["a"], { pool: "large" }));
    await endJobs(1, 1);
    const measure = async (viewers: number) => {
      plane().clock.advance(allLooksMs);
      await worker.beat();
      // Whose token it is is looked up now and then, and for each that asks meanwhile.
      await plane().call("/v1/session");
      plane().requests.reset();
      await Promise.all(Array.from({ length: viewers }, () => plane().call("/v1/overview")));
      return plane().requests.counts();
    };
    await measure(1);
    const before = await measure(1);
    await endJobs(12, 1);
    await measure(1);
    expect(await measure(1)).toEqual(before);
    expect(await measure(3)).toEqual(before);
    plane().requests.reset();
    await plane().call("/v1/overview");
    expect(plane().requests.total()).toBe(0);
  });

  it("tells of a queue that cannot be asked in its row, and of the others what they hold", async () => {
    plane().requests.intercept(async ({ operation, input }, send) => {
      if (operation !== "GetQueueAttributes" || !String(input.QueueUrl).endsWith("large-dead")) return send();
      throw Object.assign(new Error("you may not"), { name: "AccessDenied" });
    });
    expect((await readOverview("queues")).queues).toEqual([
      { pool: "default", visible: 0, inFlight: 0, delayed: 0, deadLetters: 0 },
      { pool: "large", error: "SQS could not be asked (AccessDenied)" },
    ]);
  });

  it("is told as a stream: all parts, then only those that have changed", async () => {
    const worker = await startWorker();
    const stream = await follow("/v1/overview?parts=pools,queues,jobs,failures");
    const next = async () => {
      const message = await stream.next();
      return { event: message?.event, data: JSON.parse(message?.data ?? "null") as Overview };
    };
    const first: unknown[] = [];
    while (first.length < 4) first.push((await next()).event);
    expect(first).toEqual(["pools", "queues", "jobs", "failures"]);
    // Only when it was last seen changes: no news yet.
    plane().clock.advance(timing.heartbeatMs);
    await worker.beat();
    const jobId = await plane().submit(noopJob(["a"]));
    // What was looked at meanwhile is remembered until the clock moves on.
    plane().clock.advance(2_000);
    const [queues, jobs] = [await next(), await next()];
    plane().clock.advance(2_000);
    expect(await next()).toMatchObject({ event: "failures", data: { failures: { jobs: 1, reasons: [] } } });
    expect(queues).toMatchObject({ event: "queues", data: { queues: [{ visible: 1 }, {}] } });
    expect(jobs).toMatchObject({ event: "jobs", data: { jobs: { active: [{ job: jobId }] } } });
    await stream.cancel();
  });
});

describe("a worker", () => {
  it("is told with the tasks that it holds, also those claimed since its last heartbeat, and its own events", async () => {
    const jobId = await plane().submit(noopJob(["a", "b", "c"]));
    const worker = await startWorker();
    await startWorker();
    const held = await worker.claimOne();
    const over = await worker.claimOne();
    await worker.beat([held, over]);
    plane().clock.advance(1_000);
    const claimed = await worker.claimOne();
    await worker.report(over, completed());
    const detail = await plane().call<WorkerDetail>(`/v1/workers/${worker.workerId}`, { role: "viewer" });
    expect(detail).toMatchObject({ workerId: worker.workerId, state: "alive", held: 2 });
    expect(detail.tasks).toEqual(
      [claimed, held].map(({ task }, index) => ({
        job: jobId,
        task,
        attempt: 1,
        claimedAt: new Date(plane().clock.now() - 1_000 * index).toISOString(),
        status: "running",
      })),
    );
    expect(detail.events.map(({ type }) => type)).toEqual(["scale_up", "worker_started"]);
    // Whoever asks hears that it is lost, while its tasks are still its own.
    plane().clock.advance(timing.workerSilentMs + 1);
    const lost = await plane().call<WorkerDetail>(`/v1/workers/${worker.workerId}`);
    expect(lost).toMatchObject({
      state: "lost",
      tasks: [{}, {}],
      events: [{ type: "scale_down" }, { type: "worker_lost" }, {}, {}],
    });
    expect((await plane().request("/v1/workers/w-0123456789abcdefghjkmnpqrs")).status).toBe(404);
  });

  it("is followed: those that live and those that went lately, each again only when it has changed", async () => {
    const [first, second] = [await startWorker(), await startWorker("large")];
    const stream = await follow("/v1/workers");
    const next = async () => {
      const message = await stream.next();
      return { event: message?.event, data: JSON.parse(message?.data ?? "null") as Worker };
    };
    const started = [await next(), await next()];
    expect(started.map(({ data }) => data.workerId)).toEqual([first.workerId, second.workerId].sort());
    expect(await next()).toMatchObject({ event: "ready" });
    plane().clock.advance(timing.heartbeatMs);
    await first.beat();
    await second.beat([], "stopped");
    plane().clock.advance(2_000);
    expect(await next()).toMatchObject({ event: "worker", data: { workerId: second.workerId, state: "stopped" } });
    await plane().call("/v1/admin/pools/large/forget", { body: { apply: true } });
    await first.beat([], "draining");
    plane().clock.advance(allLooksMs);
    expect(await next()).toMatchObject({ event: "left", data: { workerId: second.workerId } });
    expect(await next()).toMatchObject({ event: "worker", data: { workerId: first.workerId, state: "draining" } });
    await stream.cancel();
  });
});
