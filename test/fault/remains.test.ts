import { randomUUID } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import pLimit from "p-limit";
import { expect, it, onTestFinished } from "vitest";
import type { ContainerStepSpec, ServiceSpec, StepSpec } from "../../shared/jobfile/job-spec.ts";
import { findProcessesOf } from "../support/chaos/processes.ts";
import { pickBetween, pickWeighted, type Random, randomFrom } from "../support/chaos/random.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
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
function planSteps(random: Random, image: string): { steps: StepSpec[]; services?: Record<string, ServiceSpec> } {
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

it(`leaves nothing of ${taskCount} tasks that are cancelled, time out or lose their worker at random (seed ${seed})`, {
  timeout: 120_000 + taskCount * 10_000,
}, async (context) => {
  if (!(await needDocker(context))) return;
  const random = randomFrom(seed);
  const image = await makeImage();
  const volumesBefore = new Set(await listUnusedVolumes());
  const bench = await WorkerBench.open({ leaseMs: 3_000, visibilityTimeoutSeconds: 3 });
  onTestFinished(() => bench.close());
  const temporary = join(bench.folder, "tmp");
  await mkdir(temporary);

  const startWorker = async (drainMs = 2_000) => {
    const env = bench.workerEnv({
      SLUICE_EXECUTORS: "docker,process",
      SLUICE_SLOTS: String(slots),
      SLUICE_KILL_GRACE_MS: "300",
      SLUICE_DRAIN_MS: String(drainMs),
      TMPDIR: temporary,
    });
    const started = new WorkerProcess(env);
    const exited = started.exited.then(() => Promise.reject(new Error(`a worker did not start: ${started.text}`)));
    await Promise.race([started.ready, exited]);
    exited.catch(() => undefined);
    return started;
  };
  let worker = await startWorker();
  const replacing = pLimit(1);
  const stopWorker = async (signal: "SIGKILL" | "SIGTERM") => {
    worker.child.kill(signal);
    const exit = await worker.exited;
    if (signal === "SIGTERM") expect(exit, worker.text).toEqual({ code: 0, signal: null });
  };
  const replaceWorker = (signal: "SIGKILL" | "SIGTERM") =>
    replacing(async () => {
      await stopWorker(signal);
      worker = await startWorker();
    });

  const endTask = async (name: string, ending: Ending, afterMs: number) => {
    await sleep(afterMs);
    if (ending === "lost lease") bench.plane.loseLease(name);
    if (ending === "kill of the worker") await replaceWorker("SIGKILL");
    if (ending === "drain of the worker") await replaceWorker("SIGTERM");
    // What begins again somewhere else ends here.
    if (ending !== "timeout") bench.plane.cancel(name);
  };
  const atOnce = pLimit(slots + 2);
  const planned = Array.from({ length: taskCount }, (_, index) => {
    return {
      name: `t${index}`,
      ending: pickWeighted<Ending>(random, endings),
      afterMs: pickBetween(random, 0, latestMs),
      ...planSteps(random, image),
    };
  });
  await Promise.all(
    planned.map(({ name, ending, afterMs, ...input }) =>
      atOnce(async () => {
        const timeoutMs = ending === "timeout" ? Math.max(1, afterMs) : 600_000;
        await bench.send(bench.plane.addTask(name, { ...input, timeoutMs }));
        await endTask(name, ending, afterMs);
        await eventually(() => bench.plane.outcome(name), `the end of ${name} by ${ending}`, endDeadlineMs);
        const states = { timeout: "timed_out" } as Partial<Record<Ending, string>>;
        expect({ name, ...bench.plane.outcome(name) }).toMatchObject({ name, state: states[ending] ?? "aborted" });
      }),
    ),
  );

  const owned = () => bench.plane.registrations.map(({ workerId }) => `sluice.worker=${workerId}`);
  const listRemains = async () => ({
    containers: (await Promise.all(owned().map(listTaskContainers))).flat(),
    volumes: (await listUnusedVolumes()).filter((volume) => !volumesBefore.has(volume)),
    workspaces: await readdir(join(bench.folder, "work"), { recursive: true }),
    temporary: await readdir(temporary),
    processes: findProcessesOf(bench.folder).map(({ pid, command }) => `${pid}: ${command}`),
  });
  const nothing = { containers: [], volumes: [], temporary: [] };
  const workerId = await worker.ready;
  // While the worker lives, before anything is removed for being of a dead one.
  await settle(listRemains, {
    ...nothing,
    workspaces: [workerId, join(workerId, "owner")],
    processes: [expect.stringContaining("workers/main.ts")],
  });
  await stopWorker("SIGTERM");
  // A worker in a hurry leaves what it keeps ready to the next one; that one has time.
  worker = await startWorker(30_000);
  await stopWorker("SIGTERM");
  await settle(listRemains, { ...nothing, workspaces: [], processes: [] });
  expect((await Promise.all(owned().map((label) => listLeftovers(label)))).flat()).toEqual([]);
});
