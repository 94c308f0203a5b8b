import { totalmem } from "node:os";
import type { Logger } from "../../shared/log.ts";
import { messageOf, withDeadline } from "../retry.ts";
import { type CgroupPlace, listCgroupPids, readCgroup } from "./cgroup-files.ts";
import { type CgroupDriver, type CgroupMounts, findContainerCgroup, findProcessCgroup } from "./cgroup-place.ts";
import { type DockerStats, readDockerStats, sumNetworks } from "./docker-stats.ts";
import { type NetworkCounters, readNetworkCounters } from "./network-counters.ts";
import type { Usage, UsageSource } from "./usage.ts";

/** A container that runs, and what of its daemon is asked where the kernel cannot be. */
export interface ContainerUsageOptions {
  containerId: string;
  /** The container in whose network namespace it is; its own where it has one for itself. */
  networkId: string;
  /** Undefined where this machine has no cgroups that can be read. */
  mounts: CgroupMounts | undefined;
  driver: CgroupDriver;
  /** The process of a container, as the daemon knows it; 0 where it does not run. */
  inspectPid: (containerId: string) => Promise<number>;
  readStats: (containerId: string) => Promise<DockerStats>;
  log: Logger;
}

/** The daemon takes milliseconds for what the kernel tells in microseconds, and may hang: a sample is not waited for long. */
const daemonDeadlineMs = 3_000;

/**
 * What a container uses: from the files of its cgroup, found by its id or else by its process, and where they cannot be
 * read (the daemon is on another machine or this worker in a container itself) from the daemon. A network namespace may
 * have served other tasks before: its traffic counts from when this was made.
 */
export class ContainerUsage implements UsageSource {
  readonly #options: ContainerUsageOptions;
  readonly #networkPid: { containerId: string; pid: number | undefined };
  #place: CgroupPlace | undefined;
  #asksDaemon: boolean | undefined;
  #networkStart: NetworkCounters | undefined;
  #toldFault = false;

  constructor(options: ContainerUsageOptions) {
    const { containerId, networkId, mounts, driver } = options;
    this.#options = options;
    this.#place = mounts && findContainerCgroup(mounts, driver, containerId);
    this.#networkPid = { containerId: networkId, pid: undefined };
    this.#networkStart = this.#readNetwork();
  }

  async read(): Promise<Usage | undefined> {
    try {
      if (this.#place === undefined && this.#asksDaemon === undefined) await this.#locate();
      if (this.#asksDaemon) return await this.#askDaemon();
      const usage = this.#place && readCgroup(this.#place);
      return usage && { ...usage, ...this.#sinceStart(this.#readNetwork()) };
    } catch (error) {
      // A sample is missing then; the daemon's state is for others to tell.
      if (!this.#toldFault) this.#options.log.debug({ reason: messageOf(error) }, "a container could not be sampled");
      this.#toldFault = true;
      return undefined;
    }
  }

  /** Containers whose daemon was told to keep their cgroups elsewhere are found by their process. */
  async #locate(): Promise<void> {
    const { mounts, containerId, inspectPid, log } = this.#options;
    const pid = await withDeadline(inspectPid(containerId), daemonDeadlineMs, "the inspection of a container");
    if (pid === 0) return;
    const place = mounts && findProcessCgroup(mounts, pid);
    // A process of that number on this machine may be another one: the daemon can be elsewhere.
    if (place !== undefined && listCgroupPids(place).includes(pid) && namesContainer(place, containerId)) {
      this.#place = place;
      return;
    }
    this.#asksDaemon = true;
    log.debug(
      { containerId },
      "a container has no cgroup here that can be read: the Docker API is asked for its samples",
    );
  }

  #readNetwork(): NetworkCounters | undefined {
    const { mounts, driver } = this.#options;
    const network = this.#networkPid;
    if (network.pid === undefined && mounts !== undefined) {
      const place = findContainerCgroup(mounts, driver, network.containerId) ?? this.#place;
      network.pid = place && listCgroupPids(place)[0];
    }
    const counters = network.pid === undefined ? undefined : readNetworkCounters(network.pid);
    // Whoever takes the place of a process that is gone is looked for at the next sample.
    if (counters === undefined) network.pid = undefined;
    return counters;
  }

  #sinceStart(now: NetworkCounters | undefined): Partial<NetworkCounters> {
    if (now === undefined) return {};
    const start = this.#networkStart ?? now;
    const wentBack = now.receivedBytes < start.receivedBytes || now.sentBytes < start.sentBytes;
    // Another namespace in its place, as of a container that was started again: all of its traffic is new.
    this.#networkStart = wentBack ? { receivedBytes: 0, sentBytes: 0 } : start;
    return {
      receivedBytes: now.receivedBytes - this.#networkStart.receivedBytes,
      sentBytes: now.sentBytes - this.#networkStart.sentBytes,
    };
  }

  async #askDaemon(): Promise<Usage | undefined> {
    const { containerId, networkId, readStats } = this.#options;
    const ask = (id: string) => withDeadline(readStats(id), daemonDeadlineMs, "the statistics of a container");
    const [own, shared] = await Promise.all([ask(containerId), networkId === containerId ? undefined : ask(networkId)]);
    const usage = readDockerStats(own, totalmem());
    return usage && { ...usage, ...this.#sinceStart(sumNetworks(shared ?? own)) };
  }
}

/** Whoever chose the parent of its cgroup, the daemon names the cgroup of a container by its id. */
function namesContainer(place: CgroupPlace, containerId: string): boolean {
  const folders = place.version === "2" ? [place.folder] : Object.values(place.folders);
  return folders.every((folder) => folder.includes(containerId));
}
