import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import { createLogger } from "../shared/log.ts";
import { eventually } from "../test/support/eventually.ts";
import { callApi, readTask, step, submit } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { readCgroupMounts } from "../workers/metrics/cgroup-place.ts";
import { ContainerUsage } from "../workers/metrics/container-usage.ts";
import type { DockerStats } from "../workers/metrics/docker-stats.ts";
import { readCpuMs } from "./support/process-stats.ts";
import type { Figure } from "./support/statistics.ts";

/** Docker has about thirty networks by default, so containers share those of few tasks. */
const servicesPerTask = 9;
const startDeadlineMs = 600_000;
const readings = 20;

/** How much is sampled, and for how long the worker is watched. */
export interface SamplingLoad {
  tasks: number;
  services: number;
  windowMs: number;
}

/** Fifty containers, and a few of them. */
export const fullSampling: SamplingLoad = { tasks: 5, services: servicesPerTask, windowMs: 30_000 };
export const shortSampling: SamplingLoad = { tasks: 1, services: 2, windowMs: 6_000 };

/** CPU of a worker whose tasks do nothing but exist, and what a look at one container costs by either way. */
export async function measureSampling(stack: RunningStack, image: string, load: SamplingLoad): Promise<Figure[]> {
  const containers = load.tasks * (load.services + 1);
  const jobId = await submit(stack, {
    name: "sampling",
    services: Object.fromEntries(
      Array.from({ length: load.services }, (_, place) => [`s${place}`, { image, command: ["sleep", "3600"] }]),
    ),
    steps: [step({ run: "echo up; sleep 3600" }, image)],
    tasks: Array.from({ length: load.tasks }, (_, place) => ({ name: `t${place}` })),
  });
  try {
    const docker = new Docker();
    const containerIds = await eventually(
      () => findContainers(stack, docker, jobId, load.tasks, containers),
      `${containers} containers`,
      startDeadlineMs,
    );
    const pid = stack.pids["worker-1"];
    if (pid === undefined) throw new Error("the stack has no worker");
    const cpuMs = readCpuMs(pid);
    await sleep(load.windowMs);
    const percent = ((readCpuMs(pid) - cpuMs) * 100) / load.windowMs;
    const byFiles = await timeReading(docker, containerIds, true);
    const byDaemon = await timeReading(docker, containerIds.slice(0, 5), false);
    return [
      {
        name: `CPU of a worker that samples ${containers} containers, heartbeats and polls included`,
        value: `${percent.toFixed(2)} % of a core`,
        aim: { text: "≤ 3 %", met: percent <= 3 },
      },
      {
        name: "a look at one container: its cgroup's files, the Docker API",
        value: `${byFiles.ms.toFixed(2)} ms, ${byDaemon.ms.toFixed(2)} ms (${(byDaemon.ms / byFiles.ms).toFixed(0)} ×)`,
      },
      {
        name: `sampling ${containers} containers every 5 s by their files, alone`,
        value: `${((byFiles.cpuMs * containers * 100) / 5_000).toFixed(2)} % of a core`,
      },
    ];
  } finally {
    await callApi(stack, `/v1/jobs/${jobId}/cancel`, {});
    await eventually(
      async () => (await callApi<{ endedAt?: string }>(stack, `/v1/jobs/${jobId}`)).endedAt !== undefined,
      "the end of the job",
    );
  }
}

/** The containers of steps and services, once all run. */
async function findContainers(stack: RunningStack, docker: Docker, jobId: string, tasks: number, count: number) {
  const states = await Promise.all(Array.from({ length: tasks }, (_, place) => readTask(stack, jobId, `t${place}`)));
  const failed = states.find(({ status }) => status !== "running" && status !== "queued");
  if (failed) throw new Error(`a task of the measurement ended: ${failed.reason?.detail}`);
  const found = await docker.listContainers();
  const own = found.filter(
    ({ Labels }) =>
      Labels["sluice.attempt"]?.startsWith(`${jobId}.`) && /^(step|service)$/.test(Labels["sluice.role"] ?? ""),
  );
  return own.length === count ? own.map(({ Id }) => Id) : undefined;
}

/** Wall clock and CPU time of this process for one look at one container, in milliseconds. */
async function timeReading(docker: Docker, containerIds: readonly string[], byFiles: boolean) {
  const mounts = byFiles ? readCgroupMounts() : undefined;
  const sources = containerIds.map(
    (containerId) =>
      new ContainerUsage({
        containerId,
        networkId: containerId,
        mounts,
        driver: "cgroupfs",
        inspectPid: async (id) => (await docker.getContainer(id).inspect()).State.Pid,
        readStats: (id) => docker.getContainer(id).stats({ stream: false, "one-shot": true }) as Promise<DockerStats>,
        log: createLogger("bench", { level: "silent" }),
      }),
  );
  // The first look finds out which way to go.
  for (const source of sources) {
    if ((await source.read()) === undefined) throw new Error("a container of the measurement could not be sampled");
  }
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  for (let round = 0; round < readings; round++) for (const source of sources) await source.read();
  const looks = readings * sources.length;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { ms: (performance.now() - startedAt) / looks, cpuMs: (user + system) / 1_000 / looks };
}
