import { describe, expect, it } from "vitest";
import { type FleetEvent, fleetEventSchema } from "../../events/index.ts";
import type { FleetEventPage, ForgottenPool, Pool, PoolList, WorkerPage } from "../../shared/api/schemas.ts";
import { timing } from "../../shared/domain/timing.ts";
import { encodeCursor } from "../../shared/repository/cursors.ts";
import type { ControlPlane } from "../support/control-plane.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { readEvents as readStream } from "../support/control-plane-sse.ts";
import { completed, type FakeWorker } from "../support/control-plane-worker.ts";
import { Interleaver } from "../support/interleave.ts";

const plane = useControlPlane({ pools: ["default", "large"] });
const silentMs = timing.workerSilentMs + 1;

async function startWorker(pool?: string): Promise<FakeWorker> {
  const worker = plane().createWorker(pool);
  await worker.register();
  await worker.beat();
  return worker;
}

async function startWorkers(count: number): Promise<FakeWorker[]> {
  const workers: FakeWorker[] = [];
  while (workers.length < count) workers.push(await startWorker());
  return workers;
}

/** All events, the oldest first, in the form that their schema gives. */
async function readEvents(query = "", pageSize = 100): Promise<FleetEvent[]> {
  const events: FleetEvent[] = [];
  for (let cursor: string | undefined = ""; cursor !== undefined; ) {
    const from: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const page: FleetEventPage = await plane().call(`/v1/history/events?limit=${pageSize}${from}${query}`);
    events.push(...page.events.map((event) => fleetEventSchema.parse(event)));
    cursor = page.cursor;
  }
  return events.reverse();
}

const readTypes = async (query = "") => (await readEvents(query)).map(({ type }) => type);

async function readPool(name = "default"): Promise<Pool> {
  const { pools } = await plane().call<PoolList>("/v1/pools");
  const pool = pools.find((one) => one.pool === name);
  if (!pool) throw new Error(`there is no pool ${name}`);
  return pool;
}

async function readStates(): Promise<Record<string, string>> {
  const { workers } = await plane().call<WorkerPage>("/v1/workers");
  return Object.fromEntries(workers.map(({ workerId, state }) => [workerId, state]));
}

/** Lets time pass in which these workers beat and the others do not. */
async function passTime(ms: number, beating: readonly FakeWorker[] = []): Promise<void> {
  for (let left = ms; left > 0; left -= timing.heartbeatMs) {
    plane().clock.advance(Math.min(left, timing.heartbeatMs));
    for (const worker of beating) await worker.beat();
  }
}

describe("a worker's life", () => {
  it("is told by one event for each move, in one gapless sequence for its pool", async () => {
    const worker = await startWorker();
    await worker.beat();
    await worker.beat([], "draining", { drainCause: { kind: "requested", detail: "the worker is being drained" } });
    await worker.beat([], "draining");
    await worker.beat();
    await worker.beat([], "draining");
    await worker.beat([], "stopped", { abandoned: [] });
    const events = await readEvents();
    expect(events.map(({ type }) => type)).toEqual([
      "worker_started",
      "scale_up",
      "worker_draining",
      "worker_undrained",
      "worker_draining",
      "worker_stopped",
      "scale_down",
    ]);
    expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(events).toMatchObject([
      { workerId: worker.workerId, pool: "default", host: "here" },
      { from: 0, to: 1, kind: "started" },
      { cause: { kind: "requested" } },
      {},
      {},
      { clean: true, abandoned: [] },
      { from: 1, to: 0, kind: "clean" },
    ]);
    expect((await readPool()).state).toBe("scaled_down");
  });

  it("costs one write for each heartbeat that moves nothing", async () => {
    const worker = await startWorker();
    const host = { cpu: 0.5, memoryBytes: { used: 1, total: 2 }, diskBytes: { free: 3, total: 4 } };
    plane().requests.reset();
    for (let beat = 0; beat < 3; beat++) await worker.beat([], "alive", { host, health: { state: "healthy" } });
    expect(plane().requests.counts()).toEqual({ "dynamodb.UpdateItem": 3 });
    const { workers } = await plane().call<WorkerPage>("/v1/workers");
    expect(workers).toMatchObject([{ state: "alive", use: host, health: { state: "healthy" }, version: "0" }]);
  });

  it("is not turned back by heartbeats that were overtaken", async () => {
    const worker = await startWorker();
    await worker.beat([], "draining", { number: 10 });
    await worker.beat([], "alive", { number: 9 });
    expect((await readStates())[worker.workerId]).toBe("draining");
    await worker.beat([], "stopped", { number: 12 });
    await worker.beat([], "draining", { number: 11 });
    await worker.beat([], "alive", { number: 13 });
    expect((await readStates())[worker.workerId]).toBe("stopped");
    expect(await readTypes()).toEqual([
      "worker_started",
      "scale_up",
      "worker_draining",
      "worker_stopped",
      "scale_down",
    ]);
  });

  it("goes on where it registers again because the answer was lost", async () => {
    const worker = plane().createWorker();
    await worker.register();
    await worker.register();
    await worker.beat();
    await worker.register();
    await worker.beat();
    expect((await readStates())[worker.workerId]).toBe("alive");
    expect(await readTypes()).toEqual(["worker_started", "scale_up"]);
  });

  it("tells changes of its health, each once", async () => {
    const worker = await startWorker();
    const tell = (state: "healthy" | "recovering" | "recovered" | "recovery_failed", attempt?: number) =>
      worker.beat([], "alive", { health: { state, ...(attempt ? { attempt, detail: "disk full" } : {}) } });
    await tell("healthy");
    await tell("recovering", 1);
    await tell("recovering", 1);
    await tell("recovering", 2);
    await tell("recovered");
    await tell("healthy");
    await tell("recovering", 1);
    await tell("recovery_failed");
    const events = (await readEvents()).slice(2);
    expect(events.map((event) => ("attempt" in event ? `${event.type} ${event.attempt}` : event.type))).toEqual([
      "recovering 1",
      "recovering 2",
      "recovered",
      "health",
      "recovering 1",
      "recovery_failed",
    ]);
  });

  it("ends unclean where it says what it leaves behind", async () => {
    await plane().submit(noopJob(["a"]));
    const worker = await startWorker();
    const held = await worker.claimOne();
    await worker.beat([held], "stopped", { abandoned: [held.attemptId] });
    expect((await readEvents("&type=worker_stopped"))[0]).toMatchObject({
      clean: false,
      abandoned: [{ jobId: held.jobId, task: "a", attempt: 1 }],
    });
    expect(await readPool()).toMatchObject({ state: "crashed", losses: [{ workerId: worker.workerId }] });
  });
});

describe("a worker that falls silent", () => {
  it("is lost after three heartbeats for whoever looks, with the tasks that it held", async () => {
    await plane().submit(noopJob(["a", "b"]));
    const worker = await startWorker();
    const held = await worker.claimOne();
    await worker.beat([held]);
    const lastSeenAt = new Date(plane().clock.now()).toISOString();
    // Claimed after its last heartbeat.
    plane().clock.advance(2_000);
    const unsaid = await worker.claimOne();
    plane().clock.advance(timing.workerSilentMs - 2_000);
    expect((await readStates())[worker.workerId]).toBe("alive");
    plane().clock.advance(1);
    expect((await readStates())[worker.workerId]).toBe("lost");
    const events = await readEvents();
    expect(events.map(({ type }) => type)).toEqual(["worker_started", "scale_up", "worker_lost", "scale_down"]);
    expect(events[2]).toMatchObject({
      from: "alive",
      lastSeenAt,
      tasks: [held, unsaid].map(({ jobId, task }) => ({ jobId, task, attempt: 1 })),
    });
    expect(events[3]).toMatchObject({ from: 1, to: 0, kind: "lost" });
  });

  it("is told of by the sweep where nobody looks, and by a rescue", async () => {
    const [swept] = await startWorkers(1);
    plane().clock.advance(silentMs);
    expect(await plane().sweep()).toMatchObject({ workersLost: 1, failed: 0 });
    expect(await plane().sweep()).toMatchObject({ workersLost: 0 });
    await plane().submit(noopJob(["a"]));
    const worker = await startWorker();
    const lost = await worker.claimOne();
    plane().clock.advance(timing.leaseMs + 1);
    await plane()
      .createWorker()
      .claim([{ jobId: lost.jobId, task: "a", bucket: 0 }]);
    const events = await readEvents("&type=worker_lost");
    expect(events.map((event) => "workerId" in event && event.workerId)).toEqual([swept?.workerId, worker.workerId]);
  });

  it("is left to the next sweep where the time of one is over", async () => {
    await startWorkers(3);
    plane().clock.advance(silentMs);
    // Each loss takes the control plane six seconds.
    plane().requests.intercept(async ({ operation }, send) => {
      if (operation === "TransactWriteItems") plane().clock.advance(6_000);
      return send();
    });
    expect((await plane().sweep(10_000)).workersLost).toBe(2);
    expect((await plane().sweep(10_000)).workersLost).toBe(1);
  });

  it("comes back with its next heartbeat", async () => {
    const worker = await startWorker();
    plane().clock.advance(silentMs);
    await plane().sweep();
    expect((await readPool()).state).toBe("crashed");
    await worker.beat();
    expect((await readStates())[worker.workerId]).toBe("alive");
    expect(await readPool()).toMatchObject({ state: "alive", workers: { alive: 1 }, losses: [] });
    const events = (await readEvents()).slice(4);
    expect(events).toMatchObject([
      { type: "worker_returned", workerId: worker.workerId },
      { type: "scale_up", from: 0, to: 1, kind: "returned", recoveredFrom: "crashed" },
    ]);
    // It is watched again.
    plane().clock.advance(silentMs);
    expect((await plane().sweep()).workersLost).toBe(1);
  });

  it("may have been drained before, and may say later that it had stopped", async () => {
    const worker = await startWorker();
    await worker.beat([], "draining");
    plane().clock.advance(silentMs);
    await plane().sweep();
    await worker.beat([], "stopped");
    expect((await readEvents()).slice(3)).toMatchObject([
      { type: "worker_lost", from: "draining" },
      { type: "scale_down", kind: "lost" },
      { type: "worker_stopped", clean: true },
    ]);
    expect((await readPool()).state).toBe("scaled_down");
  });

  it("costs the sweep the same with many past workers as with none", async () => {
    const measure = async () => {
      await startWorker();
      plane().requests.reset();
      await plane().sweep();
      return plane().requests.total();
    };
    const before = await measure();
    for (const worker of await startWorkers(12)) await worker.beat([], "stopped");
    await passTime(silentMs);
    await plane().sweep();
    expect(await measure()).toBe(before);
  });

  it("is told of once however many look at the same time, while its heartbeat comes after all", async () => {
    // Every order of the first steps of two sweeps and a heartbeat is a history of its own.
    for (let seed = 0; seed < 12; seed++) {
      const worker = await startWorker("large");
      plane().clock.advance(silentMs);
      const interleaver = new Interleaver();
      plane().requests.intercept(interleaver.intercept);
      let state = seed * 7919 + 1;
      const choose = (waiting: number) => {
        state = (state * 48271) % 2147483647;
        return state % waiting;
      };
      await interleaver.run(
        [
          { work: async () => void (await plane().sweep()) },
          { work: async () => void (await plane().sweep()) },
          { work: async () => void (await worker.beat()) },
        ],
        choose,
      );
      plane().requests.intercept(undefined);
      const told = await readTypes(`&worker=${worker.workerId}`);
      const lost = told.filter((type) => type === "worker_lost").length;
      expect(lost, `seed ${seed}: ${told.join(", ")}`).toBeLessThanOrEqual(1);
      expect(told.filter((type) => type === "worker_returned")).toHaveLength(lost);
      expect((await readStates())[worker.workerId]).toBe("alive");
      expect(await readPool("large")).toMatchObject({ workers: { alive: 1 } });
      await worker.beat([], "stopped");
    }
    // By time and by number is one order.
    const events = await readEvents();
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expectCounted(events);
  });

  it("counts right where many start and end at once", async () => {
    const workers = Array.from({ length: 12 }, () => plane().createWorker());
    await Promise.all(workers.map((worker) => worker.register()));
    await Promise.all(workers.map((worker) => worker.beat()));
    expect(await readPool()).toMatchObject({ state: "alive", workers: { alive: 12 } });
    await Promise.all(workers.slice(0, 6).map((worker) => worker.beat([], "stopped")));
    plane().clock.advance(silentMs);
    await Promise.all([plane().sweep(), plane().sweep(), readPool()]);
    const events = await readEvents();
    expectCounted(events);
    expect(events.at(-1)).toMatchObject({ type: "scale_down", to: 0 });
    expect((await readPool()).state).toBe("crashed");
  });
});

/** That each change of the number of workers begins where the one before ended. */
function expectCounted(events: readonly FleetEvent[]): void {
  let live = 0;
  for (const event of events) {
    if (event.type !== "scale_up" && event.type !== "scale_down") continue;
    expect(event.from).toBe(live);
    live = event.to;
  }
}

describe("a pool", () => {
  it("is unknown before its first worker, alive with one, degraded with fewer than desired", async () => {
    expect(await readPool("large")).toMatchObject({ state: "unknown", configured: true });
    await startWorker();
    expect(await readPool()).toMatchObject({ state: "alive", slots: 4, workers: { alive: 1 } });
    await plane().call("/v1/pools/default/desired", { method: "PUT", body: { desired: 2 } });
    expect(await readPool()).toMatchObject({ state: "degraded", desired: 2 });
    await startWorker();
    expect((await readPool()).state).toBe("alive");
    await plane().call("/v1/pools/large/desired", { method: "PUT", body: { desired: 2 } });
    expect((await readPool("large")).state).toBe("unknown");
  });

  it("tells who wanted how many workers, each change once", async () => {
    const desire = (desired: number | null) =>
      plane().call("/v1/pools/default/desired", { method: "PUT", body: { desired }, role: "operator" });
    await desire(null);
    await desire(2);
    await desire(2);
    await startWorker();
    expect(await readPool()).toMatchObject({ state: "degraded", desired: 2 });
    await desire(null);
    expect((await readPool()).desired).toBeUndefined();
    const by = "test-operator";
    expect(await readEvents()).toMatchObject([
      { type: "desired_changed", seq: 1, by, from: null, to: 2 },
      { type: "worker_started", seq: 2 },
      { type: "scale_up", seq: 3 },
      { type: "desired_changed", seq: 4, by, from: 2, to: null },
    ]);
  });

  it("tells that one of five crashed, for ten minutes, and which", async () => {
    const workers = await startWorkers(5);
    const [killed, ...others] = workers;
    await passTime(silentMs, others);
    expect(await readPool()).toMatchObject({
      state: "degraded",
      workers: { alive: 4 },
      losses: [{ workerId: killed?.workerId, replaced: false }],
    });
    expect(await readEvents("&type=scale_down")).toMatchObject([{ from: 5, to: 4, kind: "lost" }]);
    plane().clock.advance(600_000);
    for (const worker of others) await worker.beat();
    expect((await readPool()).state).toBe("alive");
  });

  it("has crashed where one was killed beside others that stopped in order", async () => {
    const [killed, ...others] = await startWorkers(3);
    for (const worker of others) await worker.beat([], "stopped");
    await passTime(silentMs);
    expect(await readPool()).toMatchObject({ state: "crashed", losses: [{ workerId: killed?.workerId }] });
    expect(await readEvents("&type=scale_down")).toMatchObject([
      { kind: "clean", to: 2 },
      { kind: "clean", to: 1 },
      { kind: "lost", to: 0 },
    ]);
  });

  it("has crashed also where the one killed went first", async () => {
    const [, survivor] = await startWorkers(2);
    if (!survivor) throw new Error("there are two workers");
    await passTime(silentMs, [survivor]);
    await plane().sweep();
    await survivor.beat([], "stopped");
    expect((await readPool()).state).toBe("crashed");
    // Who starts now makes the losses good.
    const next = await startWorker();
    expect((await readEvents()).at(-1)).toMatchObject({ type: "scale_up", recoveredFrom: "crashed" });
    await next.beat([], "stopped");
    expect((await readPool()).state).toBe("scaled_down");
  });

  it("is scaled down where the one that was lost had been replaced", async () => {
    const [, survivor] = await startWorkers(2);
    if (!survivor) throw new Error("there are two workers");
    await passTime(silentMs, [survivor]);
    await plane().sweep();
    const next = await startWorker();
    for (const worker of [survivor, next]) await worker.beat([], "stopped");
    expect((await readPool()).state).toBe("scaled_down");
  });

  it("stays on the list until it is forgotten, and its sequence goes on should it come back", async () => {
    const [crashed, stopped] = await startWorkers(2);
    await stopped?.beat([], "stopped");
    const elsewhere = await startWorker("large");
    const forget = (body: unknown) => plane().call<ForgottenPool>("/v1/admin/pools/default/forget", { body });
    expect((await plane().request("/v1/admin/pools/default/forget", { body: { apply: true } })).status).toBe(409);
    const lastSeenAt = new Date(plane().clock.now()).toISOString();
    await crashed?.beat();
    plane().clock.advance(30 * 24 * 3_600_000);
    await plane().sweep();
    expect(await readPool()).toMatchObject({ state: "crashed", lastSeenAt });
    const ids = [crashed?.workerId, stopped?.workerId].sort();
    const dryRun = await forget({});
    expect({ ...dryRun, workers: dryRun.workers.sort() }).toEqual({ pool: "default", applied: false, workers: ids });
    expect(Object.keys(await readStates())).toHaveLength(3);
    expect((await forget({ apply: true })).workers.sort()).toEqual(ids);
    expect(Object.keys(await readStates())).toEqual([elsewhere.workerId]);
    expect(await readPool()).toMatchObject({ state: "unknown", losses: [] });
    await startWorker();
    const events = await readEvents("&pool=default");
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expect(events.at(-3)).toMatchObject({ type: "pool_forgotten", by: "test-admin" });
    expect((await plane().request("/v1/admin/pools/nowhere/forget", { body: {} })).status).toBe(404);
  });
});

describe("the events of all pools", () => {
  it("are read the newest first, page by page, by pool, worker and type", async () => {
    const here = await startWorker();
    const there = await startWorker("large");
    for (let round = 0; round < 5; round++) {
      plane().clock.advance(1000);
      await here.beat([], round % 2 === 0 ? "draining" : "alive");
      await there.beat([], round % 2 === 0 ? "draining" : "alive");
    }
    const all = await readEvents();
    expect(all).toHaveLength(14);
    expect(await readEvents("", 1)).toEqual(all);
    expect(await readEvents("", 4)).toEqual(all);
    expect(await readEvents("&pool=large", 2)).toEqual(all.filter(({ pool }) => pool === "large"));
    expect(await readEvents(`&worker=${there.workerId}`, 3)).toEqual(all.filter(({ pool }) => pool === "large"));
    expect(await readTypes("&type=worker_undrained")).toHaveLength(4);
    expect((await plane().request("/v1/history/events?type=nothing")).status).toBe(400);
    expect((await plane().request("/v1/history/events?cursor=abc")).status).toBe(400);
    // Made to look like this list's, but its place is in another pool.
    const forged = encodeCursor("fleet events default", [new Date(0).toISOString(), "large", 1]);
    expect((await plane().request(`/v1/history/events?pool=default&cursor=${forged}`)).status).toBe(400);
  });
});

describe("a worker that is asked to drain", () => {
  const ask = (worker: FakeWorker, what: "drain" | "undrain") =>
    plane().request(`/v1/workers/${worker.workerId}/${what}`, { method: "POST", role: "operator" });

  it("hears of it, and of the change of mind; who asked is told", async () => {
    const worker = await startWorker();
    expect((await ask(worker, "drain")).status).toBe(202);
    expect((await ask(worker, "drain")).status).toBe(202);
    expect((await worker.beat([], "draining")).drain).toBe(true);
    expect((await ask(worker, "undrain")).status).toBe(202);
    expect((await worker.beat([], "draining")).drain).toBe(false);
    await worker.beat();
    expect((await readEvents()).slice(2)).toMatchObject([
      { type: "drain_requested", by: "test-operator", workerId: worker.workerId },
      { type: "worker_draining" },
      { type: "undrain_requested", by: "test-operator" },
      { type: "worker_undrained" },
    ]);
  });

  it("stays where the drain was taken back before its farewell, and has stopped where it was not", async () => {
    const worker = await startWorker();
    const cause = { drainCause: { kind: "requested" } };
    const leave = () => worker.beat([], "stopped", { ...cause, mayStay: true, abandoned: [] });
    await ask(worker, "drain");
    await worker.beat([], "draining", cause);
    expect((await ask(worker, "undrain")).status).toBe(202);
    expect(await leave()).toMatchObject({ drain: false, stay: true });
    expect(await readStates()).toEqual({ [worker.workerId]: "draining" });
    await worker.beat();
    await ask(worker, "drain");
    // Its farewell overtakes the heartbeat that tells of the drain.
    expect(await leave()).not.toHaveProperty("stay");
    const refusal = await ask(worker, "undrain");
    expect([refusal.status, await refusal.text()]).toEqual([409, expect.stringContaining("has stopped")]);
    expect((await readTypes()).slice(2)).toEqual([
      "drain_requested",
      "worker_draining",
      "undrain_requested",
      "worker_undrained",
      "drain_requested",
      "worker_stopped",
      "scale_down",
    ]);
  });

  it("either stays or has stopped on record, however its farewell and the change of mind meet", async () => {
    const outcomes = new Set<string>();
    // Which of two waiting requests goes first, as the bits of a number.
    for (let order = 0; order < 8; order++) {
      const worker = await startWorker();
      await ask(worker, "drain");
      await worker.beat([], "draining");
      const interleaver = new Interleaver();
      plane().requests.intercept(interleaver.intercept);
      const got = { status: 0, stays: false };
      let choices = 0;
      await interleaver.run(
        [
          {
            work: async () => {
              got.status = (await ask(worker, "undrain")).status;
            },
          },
          {
            work: async () => {
              got.stays = (await worker.beat([], "stopped", { mayStay: true })).stay ?? false;
            },
          },
        ],
        (waiting) => (waiting < 2 ? 0 : (order >> choices++) & 1),
      );
      plane().requests.intercept(undefined);
      outcomes.add(`${got.status} ${got.stays}`);
      expect((await readStates())[worker.workerId]).toBe(got.stays ? "draining" : "stopped");
    }
    expect([...outcomes].sort()).toEqual(["202 true", "409 false"]);
  });

  it("can be followed by itself; a stream says when all that is there has been told", async () => {
    const [worker] = await startWorkers(2);
    const workerId = worker?.workerId ?? "";
    const { workers } = await plane().call<WorkerPage>(`/v1/workers?worker=${workerId}`);
    expect(workers.map((one) => one.workerId)).toEqual([workerId]);
    expect(await plane().call("/v1/workers?worker=w-nobody")).toEqual({ workers: [] });
    const headers = { accept: "text/event-stream" };
    const stream = readStream(await plane().request(`/v1/workers?worker=${workerId}`, { headers }));
    expect([(await stream.next())?.event, (await stream.next())?.event]).toEqual(["worker", "ready"]);
    if (worker) await ask(worker, "drain");
    expect(JSON.parse((await stream.next())?.data ?? "")).toMatchObject({
      workerId,
      drainRequestedBy: "test-operator",
    });
    await stream.cancel();
  });

  it("is refused what makes no sense", async () => {
    const worker = await startWorker();
    const refusal = await ask(worker, "undrain");
    expect([refusal.status, await refusal.text()]).toEqual([409, expect.stringContaining("nobody has asked")]);
    await ask(worker, "drain");
    await worker.beat([], "draining", { drainCause: { kind: "signal", detail: "the worker is being stopped" } });
    const final = await ask(worker, "undrain");
    expect([final.status, await final.text()]).toEqual([409, expect.stringContaining("the worker is being stopped")]);
    plane().clock.advance(silentMs);
    expect(await readStates()).toEqual({ [worker.workerId]: "lost" });
    expect((await ask(worker, "undrain")).status).toBe(409);
    await worker.beat([], "stopped");
    expect((await ask(worker, "drain")).status).toBe(409);
    expect((await ask(plane().createWorker(), "drain")).status).toBe(404);
  });
});

describe("a required version", () => {
  it("is told with each heartbeat", async () => {
    const worker = await startWorker();
    expect(await worker.beat()).not.toHaveProperty("requiredVersion");
    const strict: ControlPlane["deps"] = { ...plane().deps, requiredWorkerVersion: "1.4.0" };
    const path = `/v1/workers/${worker.workerId}/heartbeat`;
    const body = { state: "alive", slotsFree: 1, attempts: [] };
    expect(await plane().call(path, { body, role: "worker", app: strict })).toMatchObject({ requiredVersion: "1.4.0" });
  });
});

it("a task that has ended is not told as lost with its worker", async () => {
  await plane().submit(noopJob(["a"]));
  const worker = await startWorker();
  const held = await worker.claimOne();
  await worker.beat([held]);
  await worker.report(held, completed());
  await worker.beat([]);
  plane().clock.advance(silentMs);
  await plane().sweep();
  expect((await readEvents("&type=worker_lost"))[0]).toMatchObject({ tasks: [] });
});
