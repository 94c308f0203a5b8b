import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { listLeftovers } from "../docker.ts";
import { listFolder } from "./fault-injector.ts";
import { type FamilyRecord, findProcessesOf, type ProcessEntry, signalProcess } from "./processes.ts";
import type { Finding } from "./verdict.ts";

/** A process that was killed with its parent may take a moment to be gone. */
const processDeadlineMs = 5_000;
const lookEveryMs = 100;

/** What a stopped stack left behind. */
export interface StackTraces {
  dataDir: string;
  family: FamilyRecord;
  workerIds: readonly string[];
  /** The Docker that was used, if any was. */
  docker: Docker | undefined;
}

/** Tells what of a stack that has stopped is still there. */
export async function judgeRemains(traces: StackTraces): Promise<Finding[]> {
  const what = [...(await listProcesses(traces)), ...(await listFolders(traces)), ...(await listDockerRemains(traces))];
  return what.map((text) => ({ check: "remains", what: text }));
}

async function listProcesses(traces: StackTraces): Promise<string[]> {
  let alive: ProcessEntry[] = [];
  for (const givesUpAt = Date.now() + processDeadlineMs; Date.now() < givesUpAt; await sleep(lookEveryMs)) {
    alive = findAlive(traces);
    if (alive.length === 0) return [];
  }
  return alive.map(({ pid, command }) => `process ${pid}: ${command.slice(0, 200)}`);
}

function findAlive({ family, dataDir }: StackTraces): ProcessEntry[] {
  const found = [...family.listAlive(), ...findProcessesOf(dataDir)];
  return [...new Map(found.map((entry) => [entry.pid, entry])).values()];
}

async function listFolders({ dataDir }: StackTraces): Promise<string[]> {
  const workDir = join(dataDir, "work");
  const names = await listFolder(workDir);
  return names.map((name) => `folder ${join(workDir, name)}`);
}

async function listDockerRemains({ workerIds, docker }: StackTraces): Promise<string[]> {
  if (!docker) return [];
  const names = await Promise.all(
    workerIds.map(async (workerId) =>
      (await listLeftovers(`sluice.worker=${workerId}`, docker)).map((name) => `${name} of ${workerId} in Docker`),
    ),
  );
  return names.flat();
}

/** Removes by force what a stack left that did not stop in order: its processes, then its containers and networks. */
export async function removeByForce(traces: StackTraces): Promise<void> {
  for (const { pid } of findAlive(traces)) {
    signalProcess(pid, "SIGCONT");
    signalProcess(pid, "SIGKILL");
  }
  const { docker } = traces;
  if (!docker) return;
  for (const workerId of traces.workerIds) {
    const filters = { label: [`sluice.worker=${workerId}`] };
    for (const { Id } of await docker.listContainers({ all: true, filters })) {
      await docker.getContainer(Id).remove({ force: true });
    }
    for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove();
  }
}
