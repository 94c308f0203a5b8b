import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createLogger } from "../../shared/log.ts";
import { AttemptMetrics } from "./attempt-metrics.ts";
import { Spool } from "./spool.ts";
import type { Usage } from "./usage.ts";

const owner = { jobId: "j", task: "t", attempt: 1, workerId: "w" };

/** An attempt whose clock, usage and bucket the test moves. */
async function setUp(putIfAbsent: () => Promise<boolean> = async () => true) {
  const folder = await mkdtemp(join(tmpdir(), "sluice-metrics-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const state = { nowMs: 0, usage: { cpuUs: 0, memoryBytes: 1_000 } as Usage | undefined, broken: 0 };
  const spool = new Spool(join(folder, "a.wal"), owner, () => {
    state.broken++;
  });
  onTestFinished(() => spool.leave());
  const end = Promise.withResolvers<{ outOfMemory: boolean }>();
  const metrics = new AttemptMetrics({
    owner,
    spool,
    objects: { putIfAbsent },
    intervalMs: 5_000,
    nowMs: () => state.nowMs,
    wallMs: () => state.nowMs,
    log: createLogger("test", { level: "silent" }),
  });
  metrics.watch({ step: 1 }, { source: { read: () => state.usage }, ended: end.promise });
  const sample = async (afterMs: number) => {
    state.nowMs += afterMs;
    await metrics.sampleIfDue(undefined);
  };
  const isAborted = (ms: number) => ({ deadlineMs: 10_000, signal: AbortSignal.timeout(ms) });
  return { folder, state, spool, end, metrics, sample, isAborted };
}

test("samples every second at first, then at its interval, and each new step after a second", async () => {
  const { metrics, sample, state, spool } = await setUp();
  const counts: number[] = [];
  const take = async (afterMs: number) => {
    const before = spool.bytes;
    await sample(afterMs);
    counts.push(spool.bytes > before ? 1 : 0);
  };
  for (let second = 1; second <= 10; second++) await take(1_000);
  expect(counts).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 0, 1]);
  metrics.watch({ step: 2 }, { source: { read: () => state.usage }, ended: new Promise(() => undefined) });
  counts.length = 0;
  for (const afterMs of [500, 500, 1_000, 1_000]) await take(afterMs);
  expect(counts).toEqual([0, 1, 0, 0]);
});

test("ends in time though the bucket hangs, also under a put that began before, and leaves its spool", async () => {
  const { metrics, sample, isAborted, folder, state } = await setUp(() => new Promise(() => undefined));
  await sample(5_000);
  state.nowMs += 60_000;
  void metrics.putIfDue({ deadlineMs: 60_000, signal: new AbortController().signal });
  await sample(5_000);
  const kept = await metrics.finish(isAborted(20));
  expect(kept).toMatchObject({
    footprint: { memoryMax: 1_000 },
    problem: expect.stringContaining("could not be stored"),
  });
  await metrics.abandon(isAborted(20));
  expect(await readdir(folder)).toEqual(["a.wal"]);
});

test("leaves a footprint and puts nothing where it was over within an interval", async () => {
  let puts = 0;
  const { metrics, sample, isAborted, folder } = await setUp(async () => ++puts > 0);
  await sample(1_000);
  expect(await metrics.finish(isAborted(5_000))).toMatchObject({ footprint: { sampledMs: 1_000 } });
  await metrics.forget();
  expect([puts, await readdir(folder)]).toEqual([0, []]);
});

test("tells of a kill for lack of memory that the kernel's count went away with", async () => {
  const { metrics, sample, end, isAborted } = await setUp();
  await sample(5_000);
  end.resolve({ outOfMemory: true });
  await end.promise;
  await new Promise((resolve) => setImmediate(resolve));
  expect((await metrics.finish(isAborted(5_000))).footprint).toMatchObject({ oomKills: 1, memoryMax: 1_000 });
});

test("keeps its samples where the spool cannot be written, and tells once", async () => {
  const { metrics, sample, isAborted, folder, state } = await setUp();
  await rm(folder, { recursive: true });
  await sample(5_000);
  await sample(5_000);
  expect(state.broken).toBe(1);
  expect(await metrics.finish(isAborted(5_000))).toMatchObject({ metrics: [{ samples: 2 }] });
});
