import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { eventually } from "../test/support/eventually.ts";
import { type BenchTimes, WorkerBench } from "../test/support/worker-bench.ts";
import { readCpuMs, readMegabytes } from "./support/process-stats.ts";
import { type Figure, summarize } from "./support/statistics.ts";

const mainFile = fileURLToPath(new URL("../workers/main.ts", import.meta.url));
const tasks = 16;
/** Every object that a task leaves takes so long to store. */
const uploadMs = 3_000;
/** Nothing shows again by itself while this measures. */
const patient: BenchTimes = { heartbeatMs: 1_000, leaseMs: 60_000, visibilityTimeoutSeconds: 60 };

/** A worker process, timed from its start to its first poll; with what it is told to end by. */
interface TimedWorker {
  child: ChildProcess;
  readyMs: number;
  /** CPU time until then. */
  readyCpuMs: number;
  /** Resolves with the milliseconds from SIGTERM to its exit. */
  stop(): Promise<number>;
}

/**
 * What a worker costs while it waits, and how its end goes: with nothing to do, with tasks that leave much, and with one
 * that runs on elsewhere. Its control plane is one in memory, its queue and bucket are the embedded ones.
 */
export async function measureDrain(rounds: number, idleSeconds: number, hasDocker: boolean): Promise<Figure[]> {
  return [
    ...(await measureIdleWorker(rounds, idleSeconds, "process")),
    ...(hasDocker ? await measureIdleWorker(rounds, idleSeconds, "docker") : []),
    await measureElsewhere(rounds),
    await measureUploads(),
  ];
}

async function measureIdleWorker(
  rounds: number,
  idleSeconds: number,
  executor: "process" | "docker",
): Promise<Figure[]> {
  const starts: number[] = [];
  const startCpu: number[] = [];
  const ends: number[] = [];
  let use = "";
  await onBench(patient, async (bench) => {
    const env = { SLUICE_EXECUTORS: executor, NODE_COMPILE_CACHE: join(bench.folder, "compiled") };
    // As on any machine but at its very first start, its code is compiled.
    await (await startWorker(bench, env)).stop();
    for (let round = 0; round < rounds; round++) {
      const worker = await startWorker(bench, env);
      starts.push(worker.readyMs);
      startCpu.push(worker.readyCpuMs);
      // What a worker makes ready goes on beside the first polls.
      await sleep(2_000);
      if (round === 0) use = await readUse(worker.child, idleSeconds);
      ends.push(await worker.stop());
    }
  });
  const [start, end] = [summarize(starts), summarize(ends)];
  return [
    {
      name: `a worker (${executor}) from its start to its first receive, median of ${rounds}`,
      value: `${start.median.toFixed(0)} ms, ${summarize(startCpu).median.toFixed(0)} ms of CPU`,
      aim: { text: "≤ 1 s", met: start.median <= 1_000 },
    },
    { name: `a worker (${executor}) that waits`, value: use },
    {
      name: `idle drain (${executor}), SIGTERM → exit, median of ${rounds}`,
      value: `${end.median.toFixed(0)} ms`,
      aim: { text: "< 0.5 s", met: end.median < 500 },
    },
  ];
}

async function readUse({ pid }: ChildProcess, seconds: number): Promise<string> {
  if (pid === undefined) throw new Error("the worker does not run");
  const before = readCpuMs(pid);
  await sleep(seconds * 1000);
  const percent = ((readCpuMs(pid) - before) / (seconds * 1000)) * 100;
  return `${readMegabytes(pid).toFixed(0)} MiB, ${percent.toFixed(1)} % of a core`;
}

/** From SIGTERM until another worker has claimed what the first one gave back, without time for the task to finish. */
async function measureElsewhere(rounds: number): Promise<Figure> {
  const times: number[] = [];
  await onBench(patient, async (bench) => {
    for (let round = 0; round < rounds; round++) {
      const name = `t${round}`;
      const first = await startWorker(bench, { SLUICE_DRAIN_FINISH_MS: "0" });
      await startTasks(bench, [name]);
      const second = await startWorker(bench);
      const sentAtMs = Date.now();
      const stopped = first.stop();
      const attempts = () => bench.plane.task(name).attempts;
      await eventually(() => attempts().length === 2, "the second attempt");
      times.push((attempts()[1]?.claimedAtMs ?? Number.NaN) - sentAtMs);
      bench.plane.cancel(name);
      await eventually(() => bench.plane.outcome(name), "the end of the task");
      await Promise.all([stopped, second.stop()]);
    }
  });
  const { median, max } = summarize(times);
  return {
    name: `SIGTERM → the task that is given back runs elsewhere, median of ${rounds}`,
    value: `${median.toFixed(0)} ms (at most ${max.toFixed(0)})`,
    aim: { text: "≤ 2 s", met: max <= 2_000 },
  };
}

/** Side by side against one by one: the end of a worker with many tasks, and with one of them. */
async function measureUploads(): Promise<Figure> {
  const faults: BenchTimes = { ...patient, s3Faults: [{ operation: "PutObject", kind: "delay", delayMs: uploadMs }] };
  const [alone, all] = [await measureUploadsOf(1, faults), await measureUploadsOf(tasks, faults)];
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return {
    name: `SIGTERM with ${tasks} tasks that take ${uploadMs / 1000} s to upload → exit`,
    value: `${seconds(all)}, ${(all / alone).toFixed(2)} × one alone (${seconds(alone)}); one by one ${seconds(alone * tasks)}`,
    aim: { text: "≤ 1.25 ×", met: all <= alone * 1.25 },
  };
}

async function measureUploadsOf(count: number, times: BenchTimes): Promise<number> {
  let ms = 0;
  await onBench(times, async (bench) => {
    const worker = await startWorker(bench, { SLUICE_SLOTS: String(count), SLUICE_DRAIN_FINISH_MS: "0" });
    const names = Array.from({ length: count }, (_, index) => `t${index}`);
    await startTasks(bench, names);
    ms = await worker.stop();
    for (const name of names) {
      const kept = await bench.listAttempt(name);
      if (!kept.includes("artifact.tar.zst")) throw new Error(`the output of ${name} was not kept: ${kept.join()}`);
    }
  });
  return ms;
}

/** Gives tasks to the worker and waits until their steps run. */
async function startTasks(bench: WorkerBench, names: readonly string[]): Promise<void> {
  const run = `echo up > "$SLUICE_OUTPUT/f"; echo up; touch "${bench.folder}/up-$SLUICE_TASK"; exec sleep 1000`;
  const steps = [{ kind: "process" as const, name: "s", entry: { run }, env: {} }];
  await bench.send(...names.map((name) => bench.plane.addTask(name, { steps })));
  const isUp = async (name: string) => (await readdir(bench.folder)).includes(`up-${name}`);
  for (const name of names) await eventually(() => isUp(name), `${name} running`);
}

async function startWorker(bench: WorkerBench, env: Record<string, string> = {}): Promise<TimedWorker> {
  const startedAt = performance.now();
  const child = fork(mainFile, {
    env: bench.workerEnv(env),
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    execArgv: [],
  });
  await once(child, "message");
  return {
    child,
    readyMs: performance.now() - startedAt,
    readyCpuMs: readCpuMs(child.pid ?? 0),
    async stop() {
      const sentAt = performance.now();
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const [code] = (await exited) as [number | null];
      if (code !== 0) throw new Error(`a worker ended with ${code}`);
      return performance.now() - sentAt;
    },
  };
}

async function onBench(times: BenchTimes, measure: (bench: WorkerBench) => Promise<void>): Promise<void> {
  const bench = await WorkerBench.open(times);
  try {
    await measure(bench);
  } finally {
    await bench.close();
  }
}
