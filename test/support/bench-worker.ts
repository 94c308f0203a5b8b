import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { createObjectStore, type ObjectStore } from "../../shared/clients/object-store.ts";
import { createQueue } from "../../shared/clients/queue.ts";
import { type Manifest, manifestSchema } from "../../shared/domain/manifest.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import type { ProcessStepSpec } from "../../shared/jobfile/job-spec.ts";
import { createLogger } from "../../shared/log.ts";
import { type ExecutorKind, parseConfig } from "../../workers/config.ts";
import { createControlPlaneClient } from "../../workers/control-plane-client.ts";
import type { Executor } from "../../workers/executors/executor.ts";
import { Worker } from "../../workers/worker.ts";
import { type BenchTimes, benchJobId, WorkerBench } from "./worker-bench.ts";

const log = createLogger("test", { level: "silent" });

/** A process step with a script. */
export function step(run: string, more: Partial<ProcessStepSpec> = {}): ProcessStepSpec {
  return { kind: "process", name: more.name ?? "step 1", entry: { run }, env: {}, ...more };
}

/** A bench that is closed when the test is over. */
export async function openBench(times?: BenchTimes): Promise<WorkerBench> {
  const bench = await WorkerBench.open(times);
  onTestFinished(() => bench.close());
  return bench;
}

/** What a test changes about its worker: its environment, its object store, what runs steps, who hears of AWS requests. */
interface WorkerOverrides {
  env?: Record<string, string>;
  objects?: (objects: ObjectStore) => ObjectStore;
  onAwsRequest?: (name: string) => void;
  executors?: ReadonlyMap<ExecutorKind, Executor>;
}

/** A worker in this process on a bench; when the test is over it is drained and has left nothing in its folder. */
export function createWorker(bench: WorkerBench, overrides: WorkerOverrides = {}): Worker {
  const env = bench.workerEnv({ SLUICE_KILL_GRACE_MS: "300", SLUICE_DRAIN_MS: "3000", ...overrides.env });
  const parsed = parseConfig(env, { cores: 2, cwd: "/" });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const sqs = bench.createSqsClient();
  const s3 = bench.createS3Client();
  const count = (next: (args: unknown) => unknown, context: { commandName?: string }) => (args: unknown) => {
    overrides.onAwsRequest?.(String(context.commandName));
    return next(args);
  };
  sqs.middlewareStack.add(count as never, { step: "initialize" });
  s3.middlewareStack.add(count as never, { step: "initialize" });
  const worker = new Worker({
    config: parsed.config,
    version: "0.0.0",
    client: createControlPlaneClient(parsed.config.controlPlaneUrl, parsed.config.token),
    openQueue: (url) => createQueue(sqs, url),
    openBucket: (bucket) => {
      const objects = createObjectStore(s3, bucket);
      return overrides.objects?.(objects) ?? objects;
    },
    ...(overrides.executors && { executors: overrides.executors }),
    log,
    maskedLog: { add: () => () => undefined },
  });
  onTestFinished(async () => {
    await worker.drain({ kind: "signal", signal: "SIGTERM" });
    sqs.destroy();
    s3.destroy();
    // Samples that a short drain had no time for wait for the next worker.
    const left = await readdir(join(bench.folder, "work")).catch(() => []);
    expect(left.filter((name) => !/^w-.*\.wal$/.test(name))).toEqual([]);
  });
  return worker;
}

/** Creates a worker and waits until it takes tasks. */
export async function startWorker(bench: WorkerBench, overrides: WorkerOverrides = {}): Promise<Worker> {
  const worker = createWorker(bench, overrides);
  await worker.start();
  return worker;
}

/** The manifest of an attempt as the bucket has it. */
export async function readManifest(bench: WorkerBench, task: string, attempt = 1): Promise<Manifest> {
  const stored = await bench.objects.get(manifestKey(benchJobId, task, attempt));
  return manifestSchema.parse(JSON.parse(Buffer.from(stored ?? []).toString("utf8")));
}

/** The log of a step without the shell's own remarks about signals. */
export async function readWords(bench: WorkerBench, task: string): Promise<string[]> {
  const lines = await bench.readLog(task);
  return lines.map((line) => line.text).filter((text) => text !== "Terminated");
}

/** Tells whether no message is left, neither visible nor taken. */
export async function queueIsEmpty(bench: WorkerBench): Promise<boolean> {
  const { visible, inFlight } = await bench.countMessages();
  return visible + inFlight === 0;
}
