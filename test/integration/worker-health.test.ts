import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { reasonFor } from "../../shared/domain/reason.ts";
import { type Executor, type RunningStep, StepFault } from "../../workers/executors/executor.ts";
import { createWorker, openBench, startWorker, step } from "../support/bench-worker.ts";
import { eventually } from "../support/eventually.ts";
import { mountSmall } from "../support/small-disk.ts";
import type { WorkerBench } from "../support/worker-bench.ts";

const often = { SLUICE_HEALTH_PROBE_MS: "300" };

/** An executor whose steps take a moment, or fail at once. */
function createExecutor(fault?: string): Executor {
  const start = async (): Promise<RunningStep> => {
    const ended = sleep(40).then(() => ({ exitCode: 0, outOfMemory: false }));
    return { ended, terminate: () => undefined, kill: () => undefined };
  };
  return {
    openTask: () => ({
      prepareStep: async () => {
        if (fault !== undefined) throw new StepFault(reasonFor("internal", fault));
        return { start };
      },
      close: async () => undefined,
      clearWorkspace: async () => undefined,
    }),
    killAllNow: () => undefined,
    close: async () => undefined,
  };
}

/** Waits for heartbeats that tell of no free slots although nothing runs. */
function untilHeld(bench: WorkerBench): Promise<unknown> {
  const isHeld = () => bench.plane.heartbeats.at(-1)?.slotsFree === 0;
  return eventually(isHeld, "no free slots");
}

describe("a worker on a machine that is not well", () => {
  it("takes itself out when task after task fails under it: 1 dead of 4 costs a few attempts, and no task", async () => {
    const bench = await openBench();
    bench.plane.retriesInfrastructure = true;
    const names = Array.from({ length: 40 }, (_, index) => `t${index}`);
    for (const name of names) await bench.send(bench.plane.addTask(name, { steps: [step("true")] }));
    const start = (fault?: string) =>
      startWorker(bench, {
        env: { ...often, SLUICE_UNHEALTHY: "drain" },
        executors: new Map([["process", createExecutor(fault)]]),
      });
    const dead = await start("its disk is gone");
    const alive = await Promise.all([start(), start(), start()]);
    await eventually(() => names.every((name) => bench.plane.outcome(name)?.state === "completed"), "all tasks");
    const attempts = names.flatMap((name) => bench.plane.task(name).attempts);
    expect(attempts.length).toBeLessThan(names.length + 12);
    expect(new Set(attempts.map(({ workerId }) => workerId))).toEqual(
      new Set([dead, ...alive].map((one) => one.workerId)),
    );
    await Promise.all([dead, ...alive].map((worker) => worker.drain({ kind: "signal", signal: "SIGTERM" })));
  });

  it("asks to be replaced once tasks go on failing under it, and says why", async () => {
    const bench = await openBench();
    bench.plane.retriesInfrastructure = true;
    for (const name of ["a", "b", "c"]) await bench.send(bench.plane.addTask(name, { steps: [step("true")] }));
    const env = { ...often, SLUICE_UNHEALTHY: "drain" };
    const worker = await startWorker(bench, { env, executors: new Map([["process", createExecutor("no disk")]]) });
    await worker.ended;
    expect(bench.plane.heartbeats.at(-1)).toMatchObject({
      state: "stopped",
      health: { state: "recovery_failed", detail: expect.stringContaining("no disk") },
      drainCause: { kind: "unhealthy" },
    });
  });

  it("waits with a clock that is wrong until it is set, where it is told to wait", async () => {
    const bench = await openBench();
    await startWorker(bench, { env: { ...often, SLUICE_UNHEALTHY: "wait" } });
    const answer = bench.plane.hold("claims");
    await bench.send(bench.plane.addTask("claimed", { steps: [step("true")] }));
    await eventually(() => bench.plane.task("claimed").attempts.length === 1, "the claim");
    bench.plane.behindMs = 600_000;
    await untilHeld(bench);
    // What was claimed before does not start on it.
    answer();
    await eventually(() => bench.plane.task("claimed").attempts[0]?.result, "the task that is given back");
    expect(bench.plane.task("claimed").attempts[0]?.result).toMatchObject({ kind: "released" });
    await bench.send(bench.plane.addTask("t", { steps: [step("true")] }));
    const hasFailed = () => bench.plane.heartbeats.at(-1)?.health?.state === "recovery_failed";
    await eventually(hasFailed, "the end of the recovery");
    expect(bench.plane.heartbeats.at(-1)?.health?.detail).toContain("s ahead of the control plane's");
    expect(bench.plane.task("t").attempts).toEqual([]);
    bench.plane.behindMs = 0;
    for (const name of ["t", "claimed"]) await eventually(() => bench.plane.outcome(name), "the tasks");
  });

  it("takes no tasks while its disk is full, and goes on when there is room", async (context) => {
    const bench = await openBench();
    const workDir = join(bench.folder, "work");
    await mkdir(workDir);
    if (!mountSmall(workDir, 8, context)) return;
    const worker = createWorker(bench, { env: { ...often, SLUICE_UNHEALTHY: "wait" } });
    await worker.start();
    await bench.send(bench.plane.addTask("before", { steps: [step("true")] }));
    await eventually(() => bench.plane.outcome("before"), "a task");
    const big = join(bench.folder, "work", "big");
    await writeFile(big, Buffer.alloc(8_300_000)).catch(() => undefined);
    await untilHeld(bench);
    await bench.send(bench.plane.addTask("after", { steps: [step("true")] }));
    await rm(big);
    await eventually(() => bench.plane.outcome("after"), "a task that waited");
    expect(bench.plane.outcome("after")).toMatchObject({ state: "completed" });
    await worker.drain({ kind: "signal", signal: "SIGTERM" });
  });
});
