import { randomUUID } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import pLimit from "p-limit";
import { expect, it, onTestFinished } from "vitest";
import type { ContainerStepSpec, StepSpec } from "../../shared/jobfile/job-spec.ts";
import { findProcessesOf } from "../support/chaos/processes.ts";
import { pickBetween, pickWeighted, type Random, randomFrom } from "../support/chaos/random.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import type { FakeTaskInput } from "../support/fake-control-plane.ts";
import { WorkerBench } from "../support/worker-bench.ts";
import { WorkerProcess } from "../support/worker-process.ts";

// SLUICE_SCALE=full for all of it; SLUICE_REMAINS_TASKS for any number; SLUICE_SEED repeats a run.
const full = process.env.SLUICE_SCALE === "full";
const taskCount = Number(process.env.SLUICE_REMAINS_TASKS ?? (full ? 1_000 : 12));
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
const slots = 4;
/** By then most tasks have run for a while; the others are hit on their way. */
const latestMs = 2_500;
/** Workers that end one after the other can keep a task from its own end for a while. */
const endDeadlineMs = 300_000;
const docker = new Docker();

type Ending = "cancel" | "timeout" | "lost lease" | "kill of the worker" | "drain of the worker";
const endings = [
  { item: "cancel", weight: 45 },
  { item: "timeout", weight: 40 },
  { item: "lost lease", weight: 7 },
  { item: "kill of the worker", weight: 4 },
  { item: "drain of the worker", weight: 2 },
] as const satisfies { item: Ending; weight: number }[];

const keep =
  'mkdir -p "$SLUICE_OUTPUT/deep"; echo kept > "$SLUICE_OUTPUT/deep/file"; (umask 077; echo own > "$SLUICE_SHARED/own")';
const stay = "while :; do sleep 0.1; done";

function hostStep(run: string): StepSpec {
  return { kind: "process", name: "host", entry: { run }, env: {} };
}

/** Steps of all kinds, none of which ends by itself. */
function planSteps(random: Random, image: string): Pick<FakeTaskInput, "steps" | "services"> {
  const container = (run: string): ContainerStepSpec => {
    return { kind: "container", name: "container", image, shipped: false, entry: { run }, env: {} };
  };
  const plans = {
    host: { steps: [hostStep(`${keep}; sleep 600 & setsid sleep 600 & ${stay}`)] },
    container: { steps: [container(`${keep}; echo volume > /data/file; ${stay}`)] },
    stubborn: { steps: [container(`trap '' TERM; ${keep}; sleep 600 & ${stay}`)] },
    several: { steps: [container(keep), hostStep("cat $SLUICE_OUTPUT/deep/file"), container(stay), container(stay)] },
    served: {
      steps: [container(`${keep}; ${stay}`)],
      services: { side: { image, command: ["sh", "-c", "echo up; exec sleep 600"], env: {}, tmpfs: ["/cache"] } },
    },
  };
  return pickWeighted(random, [
    { item: plans.host, weight: 25 },
    { item: plans.container, weight: 30 },
    { item: plans.stubborn, weight: 10 },
    { item: plans.several, weight: 20 },
    { item: plans.served, weight: 15 },
  ]);
}

/** Busybox for a user of its own, with a volume: each container gets one, and nobody else removes it. */
async function makeImage(): Promise<string> {
  const name = `sluice-test-${randomUUID()}`;
  const container = await docker.createContainer({ Image: "busybox:stable", Cmd: ["true"] });
  await container.commit({ repo: name, changes: "USER 12345:12345\nVOLUME /data" });
  await container.remove();
  onTestFinished(async () => {
    await docker.getImage(name).remove({ force: true });
  });
  return name;
}

/** Names of all containers of a worker's tasks: not of what it keeps ready for the next. */
async function listTaskContainers(label: string): Promise<string[]> {
  const containers = await docker.listContainers({ all: true, filters: { label: [label] } });
  return containers.filter(({ Labels }) => Labels["sluice.role"] !== "pause").flatMap(({ Names }) => Names);
}

/** Waits for what takes a moment to be gone. */
async function settle(look: () => Promise<unknown>, wanted: unknown): Promise<void> {
  const check = async () => {
    expect(await look()).toEqual(wanted);
    return true;
  };
  await eventually(check, "the end of what tasks left");
}

async function listUnusedVolumes(): Promise<string[]> {
  const { Volumes } = await docker.listVolumes({ filters: { dangling: ["true"] } });
  return Volumes.map((volume) => volume.Name);
}

/** One worker process after the other on the same machine. */
class WorkerLine {
  readonly #bench: WorkerBench;
  readonly #temporary: string;
  readonly #replacing = pLimit(1);
  #worker: WorkerProcess | undefined;

  constructor(bench: WorkerBench, temporary: string) {
    this.#bench = bench;
    this.#temporary = temporary;
  }

  async start(drainMs = 2_000): Promise<string> {
    const env = this.#bench.workerEnv({
      SLUICE_EXECUTORS: "docker,process",
      SLUICE_SLOTS: String(slots),
      SLUICE_KILL_GRACE_MS: "300",
      SLUICE_DRAIN_MS: String(drainMs),
      TMPDIR: this.#temporary,
    });
    const worker = new WorkerProcess(env);
    this.#worker = worker;
    const workerId = await Promise.race([worker.ready, worker.exited.then(() => undefined)]);
    if (workerId === undefined) throw new Error(`a worker did not start: ${worker.text}`);
    return workerId;
  }

  async stop(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const worker = this.#worker;
    worker?.child.kill(signal);
    const exit = await worker?.exited;
    if (signal === "SIGTERM") expect(exit, worker?.text).toEqual({ code: 0, signal: null });
  }

  replace(signal: "SIGKILL" | "SIGTERM"): Promise<string> {
    return this.#replacing(async () => {
      await this.stop(signal);
      return this.start();
    });
  }
}

interface PlannedTask {
  name: string;
  ending: Ending;
  afterMs: number;
  input: FakeTaskInput;
}

function planTasks(random: Random, image: string): PlannedTask[] {
  return Array.from({ length: taskCount }, (_, index) => {
    const ending = pickWeighted<Ending>(random, endings);
    const afterMs = pickBetween(random, 0, latestMs);
    const timeoutMs = ending === "timeout" ? Math.max(1, afterMs) : 600_000;
    // However few tasks there are, one loses its worker.
    const isKilled = index === Math.floor(taskCount / 2);
    return {
      name: `t${index}`,
      ending: isKilled ? "kill of the worker" : ending,
      afterMs,
      input: { ...planSteps(random, image), timeoutMs: isKilled ? 600_000 : timeoutMs },
    };
  });
}

async function runToItsEnd(bench: WorkerBench, workers: WorkerLine, task: PlannedTask): Promise<void> {
  const { name, ending, afterMs, input } = task;
  await bench.send(bench.plane.addTask(name, input));
  await sleep(afterMs);
  if (ending === "lost lease") bench.plane.loseLease(name);
  if (ending === "kill of the worker") await workers.replace("SIGKILL");
  if (ending === "drain of the worker") await workers.replace("SIGTERM");
  // What begins again somewhere else ends here.
  if (ending !== "timeout") bench.plane.cancel(name);
  await eventually(() => bench.plane.outcome(name), `the end of ${name} by ${ending}`, endDeadlineMs);
  const state = ending === "timeout" ? "timed_out" : "aborted";
  expect({ name, ...bench.plane.outcome(name) }).toMatchObject({ name, state });
}

it(`leaves nothing of ${taskCount} tasks that are cancelled, time out or lose their worker at random (seed ${seed})`, {
  timeout: 120_000 + taskCount * 10_000,
}, async (context) => {
  if (!(await needDocker(context))) return;
  const image = await makeImage();
  const volumesBefore = new Set(await listUnusedVolumes());
  const bench = await WorkerBench.open({ leaseMs: 3_000, visibilityTimeoutSeconds: 3 });
  onTestFinished(() => bench.close());
  const temporary = join(bench.folder, "tmp");
  await mkdir(temporary);
  const workers = new WorkerLine(bench, temporary);
  await workers.start();
  const atOnce = pLimit(slots + 2);
  const planned = planTasks(randomFrom(seed), image);
  await Promise.all(planned.map((task) => atOnce(() => runToItsEnd(bench, workers, task))));

  const owned = () => bench.plane.registrations.map(({ workerId }) => workerId);
  const listAll = async (list: (label: string) => Promise<string[]>) =>
    (await Promise.all(owned().map((workerId) => list(`sluice.worker=${workerId}`)))).flat();
  const listRemains = async () => ({
    containers: await listAll(listTaskContainers),
    volumes: (await listUnusedVolumes()).filter((volume) => !volumesBefore.has(volume)),
    workspaces: await readdir(join(bench.folder, "work"), { recursive: true }),
    temporary: await readdir(temporary),
    processes: findProcessesOf(bench.folder).map(({ pid, command }) => `${pid}: ${command}`),
  });
  const nothing = { containers: [], volumes: [], temporary: [] };
  // While the last worker lives: before anything is removed for being of a dead one.
  const last = owned().at(-1) ?? "";
  const own = { workspaces: [last, join(last, "owner")], processes: [expect.stringContaining("workers/main.ts")] };
  await settle(listRemains, { ...nothing, ...own });
  // A worker in a hurry leaves what it keeps ready to the next one; that one has time.
  await workers.stop("SIGTERM");
  await workers.start(30_000);
  await workers.stop("SIGTERM");
  await settle(listRemains, { ...nothing, workspaces: [], processes: [] });
  expect(await listAll(listLeftovers)).toEqual([]);
});
