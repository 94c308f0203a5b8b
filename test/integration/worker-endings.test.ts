import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import { artifactKey } from "../../shared/domain/object-keys.ts";
import {
  createWorker,
  openBench,
  queueIsEmpty,
  readManifest,
  readWords,
  startWorker,
  step,
} from "../support/bench-worker.ts";
import { eventually } from "../support/eventually.ts";
import { benchJobId } from "../support/worker-bench.ts";

describe("a worker ends tasks early", () => {
  const loud =
    "echo before; echo kept > $SLUICE_OUTPUT/f; trap 'echo asked to end; exit 9' TERM; while :; do sleep 0.05; done";

  it.each([
    ["a cancel", "user", "aborted", "cancelled"],
    ["a job's timeout", "job_timeout", "timed_out", "timed_out"],
  ] as const)("at %s, and keeps logs and output up to the last line", async (_name, cause, state, code) => {
    const bench = await openBench();
    await bench.send(bench.plane.addTask("t", { steps: [step(loud), step("echo never")] }));
    await startWorker(bench);
    await eventually(async () => (await bench.readLog("t")).length > 0, "the first line");
    bench.plane.cancel("t", cause);
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({ state, reason: { code, detail: expect.stringContaining(cause) } });
    expect(await readWords(bench, "t")).toEqual(["before", "asked to end"]);
    expect((await readManifest(bench, "t")).artifacts).toHaveLength(1);
    await eventually(() => queueIsEmpty(bench), "an empty queue");
  });

  it("at the task's timeout, and kills what ignores SIGTERM", async () => {
    const bench = await openBench();
    const stubborn = "trap '' TERM; echo on; while :; do sleep 0.05; done";
    await bench.send(bench.plane.addTask("t", { steps: [step(stubborn)], timeoutMs: 500 }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "timed_out",
      reason: { code: "timed_out", detail: "the task did not end within its timeout of 500ms" },
    });
    expect((await readManifest(bench, "t")).steps[0]).toMatchObject({ exitCode: 137 });
  });

  it("at a step's own timeout", async () => {
    const bench = await openBench();
    const steps = [step("sleep 1000", { timeoutMs: 200, name: "slow" }), step("echo never")];
    await bench.send(bench.plane.addTask("t", { steps }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "timed_out",
      reason: { detail: "slow did not end within its timeout of 200ms" },
    });
  });

  it("when the lease is lost: it stops at once, reports nothing and leaves the message alone", async () => {
    const bench = await openBench();
    await bench.send(bench.plane.addTask("t", { steps: [step('echo $$ > "$SLUICE_SHARED/pid"; sleep 1000')] }));
    await startWorker(bench);
    await eventually(() => bench.plane.task("t").attempts.length === 1, "the claim");
    await eventually(() => bench.plane.heartbeats.some((beat) => beat.attempts.length > 0), "a heartbeat");
    bench.plane.loseLease("t");
    // The message shows again by itself, and the next attempt runs; it is ended so that the test can end.
    await eventually(() => bench.plane.task("t").attempts.length === 2, "the second attempt");
    expect(bench.plane.task("t").attempts[0]?.result).toBeUndefined();
    expect(await bench.listAttempt("t", 1)).toEqual([]);
    bench.plane.cancel("t");
    await eventually(() => bench.plane.outcome("t"), "the end");
  });

  it("when the control plane is away for longer than a lease, by its own clock", async () => {
    const bench = await openBench({ heartbeatMs: 100, leaseMs: 1_000 });
    const marker = join(bench.folder, "alive");
    const run = `while :; do date +%s%N > ${marker}; sleep 0.02; done`;
    await bench.send(bench.plane.addTask("t", { steps: [step(run)] }));
    await startWorker(bench);
    await eventually(() => readFile(marker, "utf8"), "the step");
    bench.plane.setAvailable(false);
    let last = "";
    await eventually(async () => {
      const now = await readFile(marker, "utf8");
      const stopped = now === last;
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return stopped;
    }, "the step's end");
    expect(await bench.listAttempt("t")).toEqual([]);
    bench.plane.setAvailable(true);
    await eventually(() => bench.plane.task("t").attempts.length === 2, "the second attempt");
    bench.plane.cancel("t");
    await eventually(() => bench.plane.outcome("t"), "the end");
  });
});

describe("a worker's drain", () => {
  it("lets a running task finish and takes nothing new", async () => {
    const bench = await openBench();
    await bench.send(bench.plane.addTask("t", { steps: [step("echo up; sleep 1; echo done")] }));
    const worker = await startWorker(bench);
    await eventually(() => bench.plane.heartbeats.some((beat) => beat.attempts.length === 1), "the attempt has begun");
    const drained = worker.drain({ kind: "signal", signal: "SIGTERM" });
    await bench.send(bench.plane.addTask("late", { steps: [step("true")] }));
    await drained;
    expect(bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    expect(bench.plane.task("late").attempts).toEqual([]);
    expect(await bench.countMessages()).toMatchObject({ visible: 1, inFlight: 0 });
    expect(bench.plane.heartbeats.map((beat) => beat.state)).toEqual(expect.arrayContaining(["draining", "stopped"]));
  });

  it("gives back what takes too long, with its log kept, and its message visible at once", async () => {
    const bench = await openBench({ leaseMs: 20_000, visibilityTimeoutSeconds: 20 });
    const run = "trap 'echo told; exit 0' TERM; echo x > $SLUICE_OUTPUT/x; echo up; while :; do sleep 0.05; done";
    const names = ["a", "b"];
    await bench.send(...names.map((name) => bench.plane.addTask(name, { steps: [step(run)] })));
    const worker = await startWorker(bench, { env: { SLUICE_DRAIN_MS: "10000", SLUICE_DRAIN_FINISH_MS: "0" } });
    await eventually(async () => (await bench.readLog("a")).length + (await bench.readLog("b")).length === 2, "both");
    await worker.drain({ kind: "signal", signal: "SIGTERM" });
    for (const name of names) {
      expect(bench.plane.task(name).attempts).toHaveLength(1);
      expect(bench.plane.task(name).attempts[0]?.result).toMatchObject({
        kind: "released",
        reason: { code: "drained" },
        steps: [{ index: 1, startedAt: expect.any(String) }],
        logs: [{ step: 1, name: "step 1" }],
        artifacts: [{ name: `${name}.tar.zst`, key: artifactKey(benchJobId, name, 1) }],
      });
      expect(await readWords(bench, name)).toEqual(["up", "told"]);
      expect(await bench.listAttempt(name)).not.toContain("result.json");
    }
    expect(await bench.countMessages()).toEqual({ visible: 2, inFlight: 0, delayed: 0 });
  });

  it("ends although neither control plane nor bucket answers", async () => {
    const bench = await openBench({ leaseMs: 20_000, visibilityTimeoutSeconds: 20 });
    const never = (signal?: AbortSignal) =>
      new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const objects = (store: ObjectStore): ObjectStore => ({
      ...store,
      put: (_key, _body, _type, signal) => never(signal),
    });
    await bench.send(bench.plane.addTask("t", { steps: [step("echo up; while :; do sleep 0.05; done")] }));
    const worker = await startWorker(bench, { env: { SLUICE_DRAIN_MS: "4000" }, objects });
    await eventually(() => bench.plane.heartbeats.some((beat) => beat.attempts.length === 1), "the attempt has begun");
    bench.plane.setAvailable(false);
    await worker.drain({ kind: "signal", signal: "SIGTERM" });
  });

  it("begins when the control plane asks for it", async () => {
    const bench = await openBench();
    const worker = await startWorker(bench);
    bench.plane.drainWorkers();
    await worker.ended;
  });

  it("begins by itself where a newer version is required, and says so", async () => {
    const bench = await openBench();
    const worker = await startWorker(bench);
    // Its own is not older, nor is it than what is none.
    bench.plane.requiredVersion = "0.0.0-rc.1";
    const { length } = bench.plane.heartbeats;
    await eventually(() => bench.plane.heartbeats.length > length + 1, "heartbeats");
    bench.plane.requiredVersion = "999.0.0";
    expect(await worker.ended).toMatchObject({ kind: "outdated" });
    expect(bench.plane.heartbeats.at(-1)).toMatchObject({
      state: "stopped",
      abandoned: [],
      drainCause: { kind: "outdated", detail: expect.stringContaining("version 999.0.0 is required") },
      health: { state: "healthy" },
      host: { memoryBytes: { total: expect.any(Number) } },
    });
    const numbers = bench.plane.heartbeats.map(({ number = 0 }) => number).sort((a, b) => a - b);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });

  it("ends a worker that has not found its control plane yet", async () => {
    const bench = await openBench();
    bench.plane.setAvailable(false);
    const worker = createWorker(bench);
    const started = worker.start();
    await worker.drain({ kind: "signal", signal: "SIGTERM" });
    expect(await started).toBe(false);
  });
});
