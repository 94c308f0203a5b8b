import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import pLimit from "p-limit";
import { createLogger } from "../shared/log.ts";
import { readCgroupMounts } from "../workers/metrics/cgroup-place.ts";
import { ContainerUsage } from "../workers/metrics/container-usage.ts";
import type { DockerStats } from "../workers/metrics/docker-stats.ts";
import { createHostSampler } from "../workers/metrics/host-sample.ts";
import { MetricRecorder, type RecordedAttempt } from "../workers/metrics/metric-recorder.ts";
import type { Figure } from "./support/statistics.ts";

const containersPerAttempt = 5;
const startsAtOnce = 4;
const rounds = 20;
const intervalMs = 5_000;
/** In its first seconds an attempt is sampled more often. */
const settleMs = 6_000;
const log = createLogger("bench", { level: "silent" });

/**
 * CPU that a worker spends on sampling so many containers, spools and snapshots included, and what a look at one of them
 * costs by either way. It is measured on the worker's own code in this process, which does nothing else meanwhile.
 */
export async function measureSampling(image: string, count: number, windowMs: number): Promise<Figure[]> {
  const docker = new Docker();
  const folder = await mkdtemp(join(tmpdir(), "sluice-sampling-"));
  const containers: Docker.Container[] = [];
  const limit = pLimit(startsAtOnce);
  try {
    await Promise.all(
      Array.from({ length: count }, () => limit(async () => containers.push(await startContainer(docker, image)))),
    );
    const containerIds = containers.map(({ id }) => id);
    const { percent, objects } = await watchRecorder(docker, containerIds, folder, windowMs);
    const byFiles = await timeReading(docker, containerIds, true);
    const byDaemon = await timeReading(docker, containerIds.slice(0, containersPerAttempt), false);
    return [
      {
        name: `sampling ${count} containers every 5 s: CPU of the worker`,
        value: `${percent.toFixed(2)} % of a core (${objects} snapshots)`,
        aim: { text: "≤ 3 %", met: percent <= 3 },
      },
      {
        name: "one look at one container: files of its cgroup, Docker API",
        value: `${byFiles.ms.toFixed(2)} ms and ${byFiles.cpuMs.toFixed(2)} ms of CPU, ${byDaemon.ms.toFixed(0)} ms and ${byDaemon.cpuMs.toFixed(2)} ms`,
      },
    ];
  } finally {
    await Promise.all(containers.map((container) => limit(() => container.remove({ force: true }))));
    await rm(folder, { recursive: true, force: true });
  }
}

async function startContainer(docker: Docker, image: string): Promise<Docker.Container> {
  const container = await docker.createContainer({
    Image: image,
    Cmd: ["sleep", "3600"],
    Labels: { "sluice.bench": "sampling" },
    HostConfig: { NetworkMode: "none", LogConfig: { Type: "none", Config: {} } },
  });
  await container.start();
  return container;
}

/** Share of a core that this process uses while a recorder takes the samples of attempts with these containers. */
async function watchRecorder(docker: Docker, containerIds: readonly string[], workDir: string, windowMs: number) {
  let objects = 0;
  const recorder = new MetricRecorder({
    workDir,
    workerDir: workDir,
    workerId: "w-bench",
    objects: {
      putIfAbsent: async () => {
        objects++;
        return true;
      },
    },
    host: createHostSampler({ folder: workDir }),
    intervalMs,
    log,
  });
  const attempts: RecordedAttempt[] = [];
  for (let start = 0; start < containerIds.length; start += containersPerAttempt) {
    const attempt = recorder.open({ jobId: `bench-${start}`.padEnd(26, "0"), task: `t${start}`, attempt: 1 });
    for (const [place, containerId] of containerIds.slice(start, start + containersPerAttempt).entries()) {
      const source = openUsage(docker, containerId, true);
      attempt.watch({ step: place + 1 }, { source, ended: new Promise(() => undefined) });
    }
    attempts.push(attempt);
  }
  await sleep(settleMs);
  const before = process.cpuUsage();
  await sleep(windowMs);
  const { user, system } = process.cpuUsage(before);
  const { signal } = new AbortController();
  await Promise.all(attempts.map((attempt) => attempt.close("abandoned", signal)));
  await recorder.close(1_000);
  if (objects === 0) throw new Error("nothing was sampled");
  return { percent: (user + system) / 10 / windowMs, objects };
}

function openUsage(docker: Docker, containerId: string, byFiles: boolean): ContainerUsage {
  return new ContainerUsage({
    containerId,
    networkId: containerId,
    mounts: byFiles ? readCgroupMounts() : undefined,
    driver: "cgroupfs",
    inspectPid: async (id) => (await docker.getContainer(id).inspect()).State.Pid,
    readStats: (id) => docker.getContainer(id).stats({ stream: false, "one-shot": true }) as Promise<DockerStats>,
    log,
  });
}

/** Wall clock and CPU time of this process for one look at one container, in milliseconds. */
async function timeReading(docker: Docker, containerIds: readonly string[], byFiles: boolean) {
  const sources = containerIds.map((containerId) => openUsage(docker, containerId, byFiles));
  // The first look finds out which way to go.
  for (const source of sources) {
    if ((await source.read()) === undefined) throw new Error("a container of the measurement could not be sampled");
  }
  const before = process.cpuUsage();
  const startedAt = performance.now();
  const looks = byFiles ? rounds : 1;
  for (let round = 0; round < looks; round++) for (const source of sources) await source.read();
  const { user, system } = process.cpuUsage(before);
  const reads = looks * sources.length;
  return { ms: (performance.now() - startedAt) / reads, cpuMs: (user + system) / 1_000 / reads };
}
