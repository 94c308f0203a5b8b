import { utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../shared/log.ts";
import { killProcessesOf } from "./executors/process/stray-processes.ts";
import { setSpoolsAside } from "./metrics/spool-files.ts";
import type { Owner } from "./owner.ts";
import { messageOf } from "./retry.ts";
import { findWorkerDirs, ownerFile, removeTree } from "./workspace.ts";

/** A worker shows so often, by the time of its owner file, that it lives. */
const signOfLifeMs = 60_000;
/** A worker in another pid namespace that showed nothing for so long, by a clock that stands while the machine sleeps, is dead. */
const presumedDeadMs = 3 * signOfLifeMs;
const lookIntervalMs = 3_600_000;

/** What of Docker the removal needs. Each tells why Docker could not do it, undefined where it has. */
export interface DockerRemains {
  /** Removes the containers that dead workers left: those whose process is gone, and these. */
  removeDeadContainers(deadWorkerIds: readonly string[]): Promise<string | undefined>;
  /** The same for their networks, which Docker may hold for long after their containers have gone. */
  removeDeadNetworks(deadWorkerIds: readonly string[]): Promise<string | undefined>;
  /** Removes a folder of the work folder with what containers wrote there as other users. */
  removeFolder(folder: string): Promise<string | undefined>;
}

export interface RemainsOptions {
  workDir: string;
  workerDir: string;
  own: Owner;
  /** Absent where no container ever ran. */
  docker?: DockerRemains | undefined;
  /** Stores the samples that dead workers could not. */
  adoptSpools: () => Promise<void>;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
  log: Logger;
}

/**
 * Removes what workers left that died on this machine: containers, networks, processes and folders; living ones are left
 * alone. Whether one lives is asked of the kernel by its process; where another pid namespace hides that (workers in
 * containers that share a work folder), it is dead when the time of its owner file stands still.
 */
export class Remains {
  readonly #options: RemainsOptions;
  /** Owner files of workers of which nobody knows: their time, and since when it is the same. */
  readonly #hidden = new Map<string, { mtimeMs: number; sinceMs: number }>();
  #looking: Promise<void> | undefined;
  #removing: Promise<void> | undefined;
  #again = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: RemainsOptions) {
    this.#options = options;
  }

  /** Looks now and from time to time, and shows others that this worker lives. */
  start(): void {
    const every = (ms: number, work: () => Promise<void>) => setInterval(() => void work(), ms).unref();
    this.#timers = [every(signOfLifeMs, () => this.#showLife()), every(lookIntervalMs, () => this.look())];
    void this.look();
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** Removes what there is to remove; never throws. One that is asked for while another is under way follows it. */
  look(): Promise<void> {
    if (this.#looking !== undefined) {
      this.#again = true;
      return this.#looking;
    }
    this.#looking = this.#lookOnce()
      .catch((error: unknown) => this.#options.log.error({ err: error }, "what dead workers left could not be removed"))
      .then(() => {
        this.#looking = undefined;
        if (!this.#again) return;
        this.#again = false;
        return this.look();
      });
    return this.#looking;
  }

  /** Resolves when what is being removed is removed; networks and samples are not waited for. */
  async settled(): Promise<void> {
    await this.#removing;
  }

  async #lookOnce(): Promise<void> {
    const { docker, log } = this.#options;
    const { dead, presumed } = await this.#findDead();
    const removal = (async () => {
      // Before the folders: containers may be writing into them.
      const away = await docker?.removeDeadContainers(presumed);
      if (away !== undefined) log.debug({ reason: away }, "what dead workers left in Docker stays until it answers");
      // The folder of one that is only presumed dead is all that tells of its containers.
      const workerIds = away === undefined ? [...dead, ...presumed] : dead;
      const folders = workerIds.map((workerId) => join(this.#options.workDir, workerId));
      if (folders.length > 0) await killProcessesOf(folders);
      for (const folder of folders) await this.#removeFolder(folder, away);
    })();
    this.#removing = removal.catch(() => undefined);
    await removal;
    await Promise.all([docker?.removeDeadNetworks(presumed), this.#options.adoptSpools()]);
  }

  /** One that cannot be removed keeps none of the others. */
  async #removeFolder(folder: string, dockerAway: string | undefined): Promise<void> {
    const { docker, workDir, log } = this.#options;
    await setSpoolsAside(workDir, folder).catch((error: unknown) =>
      log.warn({ folder, reason: messageOf(error) }, "the last samples of a dead worker are lost"),
    );
    try {
      if (await removeTree(folder)) {
        log.info({ folder }, "removed the workspaces of a dead worker");
        return;
      }
      const reason =
        docker === undefined
          ? "there is no Docker to remove them"
          : (dockerAway ?? (await docker.removeFolder(folder)));
      if (reason === undefined)
        log.info({ folder }, "removed the workspaces of a dead worker, with files of other users");
      else
        log.warn(
          { folder, reason },
          "files of other users are left in the workspaces of a dead worker: remove them as root",
        );
    } catch (error) {
      log.error({ folder, reason: messageOf(error) }, "the workspaces of a dead worker could not be removed");
    }
  }

  /** Ids of the workers that are dead, and of those that nobody knows of and that show no life. */
  async #findDead(): Promise<{ dead: string[]; presumed: string[] }> {
    const { workDir, own, nowMs } = this.#options;
    const found = await findWorkerDirs(workDir, own, Date.now());
    const hidden = found.filter(({ state }) => state === "unknown");
    const isNew = hidden.some(({ workerId }) => !this.#hidden.has(workerId));
    const presumed = hidden.filter(({ workerId, ownerMtimeMs }) => {
      const before = this.#hidden.get(workerId);
      if (before === undefined || before.mtimeMs !== ownerMtimeMs) {
        this.#hidden.set(workerId, { mtimeMs: ownerMtimeMs, sinceMs: nowMs() });
        return false;
      }
      return nowMs() - before.sinceMs >= presumedDeadMs;
    });
    if (isNew) this.#lookSoon();
    return {
      dead: found.filter(({ state }) => state === "dead").map(({ workerId }) => workerId),
      presumed: presumed.map(({ workerId }) => workerId),
    };
  }

  /** After the time in which those that live show it. */
  #lookSoon(): void {
    this.#timers.push(setTimeout(() => void this.look(), presumedDeadMs).unref());
  }

  async #showLife(): Promise<void> {
    const now = new Date();
    await utimes(join(this.#options.workerDir, ownerFile), now, now).catch((error: unknown) =>
      this.#options.log.warn({ reason: messageOf(error) }, "this worker's folder cannot be touched"),
    );
  }
}
