import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import type { Executor, RunningStep, StepExit, TaskSandbox } from "../../workers/executors/executor.ts";
import type { Worker } from "../../workers/worker.ts";
import { createWorker } from "../support/bench-worker.ts";
import { eventually } from "../support/eventually.ts";
import { asyncPropertyRun } from "../support/property-run.ts";
import { WorkerBench } from "../support/worker-bench.ts";

/** More with `SLUICE_RUNS`. */
const numRuns = Number(process.env.SLUICE_RUNS ?? 12);

const msArbitrary = fc.constantFrom(0, 0, 1, 5, 20, 60);
/** What an operator and users do; `told`: how long a step goes on when it is told to end. */
const operationArbitrary = fc.oneof(
  fc.record({ what: fc.constant("task" as const), ms: msArbitrary, toldMs: msArbitrary }),
  fc.record({ what: fc.constantFrom("drain" as const, "undrain" as const), ms: msArbitrary }),
);

/** Runs nothing but time: a task's name tells how long, and how long it goes on when it is told to end. */
class WaitingExecutor implements Executor {
  openTask({ task }: { task: string }): TaskSandbox {
    const [, ms = "0", toldMs = "0"] = task.split("-");
    return {
      prepareStep: async () => ({ start: async () => runFor(Number(ms), Number(toldMs)) }),
      close: async () => undefined,
      clearWorkspace: async () => undefined,
    };
  }

  readonly killAllNow = () => undefined;
  readonly close = async () => undefined;
}

function runFor(ms: number, toldMs: number): RunningStep {
  const { promise, resolve } = Promise.withResolvers<StepExit>();
  const end = (exitCode: number) => resolve({ exitCode, outOfMemory: false });
  const timer = setTimeout(() => end(0), ms);
  const endIn = (laterMs: number) => {
    clearTimeout(timer);
    setTimeout(() => end(143), laterMs);
  };
  return { ended: promise, terminate: () => endIn(toldMs), kill: () => endIn(0) };
}

it("every task ends exactly once, however often its worker is to drain and to go on", {
  timeout: 600_000,
}, async () => {
  // No lease runs out; but what the queue was just handing to a poll that is broken off shows again only by itself.
  const bench = await WorkerBench.open({ heartbeatMs: 10, leaseMs: 60_000, visibilityTimeoutSeconds: 1 });
  onTestFinished(() => bench.close());
  const executors = new Map([["process" as const, new WaitingExecutor()]]);
  const seen = { ended: 0, undone: 0, givenBack: 0 };
  const start = async (): Promise<{ worker: Worker; hasEnded: boolean }> => {
    const worker = createWorker(bench, { executors, env: { SLUICE_DRAIN_FINISH_MS: "0" } });
    const started = { worker, hasEnded: false };
    void worker.ended.then(() => {
      started.hasEnded = true;
      seen.ended++;
    });
    await worker.start();
    return started;
  };
  let current = await start();
  let taskCount = 0;
  await asyncPropertyRun(
    fc.asyncProperty(fc.array(operationArbitrary, { minLength: 4, maxLength: 24 }), async (operations) => {
      const names: string[] = [];
      for (const operation of operations) {
        if (operation.what === "task") {
          const name = `t${taskCount++}-${operation.ms}-${operation.toldMs}`;
          const steps = [{ kind: "process" as const, name: "s", entry: { run: "true" }, env: {} }];
          names.push(name);
          await bench.send(bench.plane.addTask(name, { steps }));
        } else {
          bench.plane.drainWorkers(operation.what === "drain");
          await sleep(operation.ms);
        }
      }
      bench.plane.drainWorkers(false);
      // Either it has ended by now or it goes on.
      const { worker } = current;
      await eventually(
        () => current.hasEnded || bench.plane.lastBeat(worker.workerId)?.state === "alive",
        "a worker that ends or goes on",
      );
      if (current.hasEnded) current = await start();
      else seen.undone++;
      for (const name of names) await eventually(() => bench.plane.outcome(name), `the end of ${name}`);
      for (const name of names) {
        const results = bench.plane.task(name).attempts.map(({ result }) => result?.kind);
        seen.givenBack += results.length - 1;
        expect(results, name).toEqual([...results.slice(1).map(() => "released"), "ended"]);
      }
    }),
    { numRuns, endOnFailure: true },
  );
  await current.worker.drain({ kind: "signal", signal: "SIGTERM" });
  expect(await bench.countMessages()).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 });
  // Few runs may be lucky.
  if (numRuns >= 50) for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
});
