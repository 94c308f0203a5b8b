import { join } from "node:path";
import { reasonFor } from "../../../shared/domain/reason.ts";
import type { Logger } from "../../../shared/log.ts";
import type { DockerAddress } from "../../docker-address.ts";
import type { HealthProblem } from "../../health/health-state.ts";
import { BlobCache } from "../../images/blob-cache.ts";
import type { CacheLimits } from "../../images/expiry.ts";
import { ImageLedger } from "../../images/image-ledger.ts";
import { readCgroupMounts } from "../../metrics/cgroup-place.ts";
import { formatOwner, type Owner } from "../../owner.ts";
import { messageOf, retryWithBackoff, settlesWithin, withDeadline } from "../../retry.ts";
import type { EcrLogin } from "../ecr-login.ts";
import { type Executor, StepFault, type TaskContext, type TaskSandbox } from "../executor.ts";
import { attachToOutput } from "./attached-output.ts";
import { probeDaemon } from "./daemon-probe.ts";
import { DaemonWatch } from "./daemon-watch.ts";
import { createDockerClient, type DockerClient, dockerLabels, explainUnreachable } from "./docker-client.ts";
import { type DockerConnection, DockerSandbox } from "./docker-sandbox.ts";
import { ImagePruner } from "./image-pruner.ts";
import { inspectDaemon } from "./image-store.ts";
import { ImageLoader } from "./images.ts";
import { type Isolation, mayChangeNetworks } from "./isolation.ts";
import { createNamespace, isPassingNetworkFault, type Namespace, removeNamespace } from "./namespace.ts";
import { NamespacePool } from "./namespace-pool.ts";
import type { CgroupSetup } from "./oom-watch.ts";
import { ensurePauseImage } from "./pause-image.ts";
import { removeDeadContainers, removeDeadNetworks, removeLabelled } from "./remains.ts";
import { removeAsRoot } from "./remove-as-root.ts";

/** Namespaces kept ready at most: each costs a process and a network of Docker's thirty. */
const maxReadyNamespaces = 4;
const maxSurplusNamespaces = 2;
/** A fresh one from time to time bounds how long anything unseen could stay in one. */
const maxNamespaceUses = 50;
const infoDeadlineMs = 10_000;
const pruneDeadlineMs = 60_000;
/** A look takes no longer where Docker answers; what one leaves that Docker answers later goes at a worker's next start. */
const probeEndMs = 500;
const firstConnectDelayMs = 500;
const maxConnectDelayMs = 5_000;

/** What becomes of images on this machine. */
export interface ImageSettings {
  /** Where workers of this machine keep blobs of images, and notes on the images they brought. */
  folder: string;
  /** For what is under way, on the same file system; goes with the worker. */
  scratchFolder: string;
  limits: CacheLimits;
  /** Signs in to the registries of AWS as the worker's role; absent where it has none. */
  ecr?: EcrLogin | undefined;
}

export interface DockerExecutorOptions {
  address: DockerAddress;
  slots: number;
  images: ImageSettings;
  isolation: Isolation;
  workerId: string;
  owner: Owner;
  log: Logger;
  /** Docker answers, for the first time or again after it was away. */
  onThere?: () => void;
  /** Docker does not answer, from the start or not any more. */
  onAway?: (why: string) => void;
}

/** Runs steps in containers of a Docker daemon on the same machine. */
export class DockerExecutor implements Executor {
  readonly #options: DockerExecutorOptions;
  readonly #labels: Readonly<Record<string, string>>;
  readonly #closing = new AbortController();
  readonly #removals = new Set<Promise<unknown>>();
  #client: Promise<DockerClient> | undefined;
  #connection: Promise<DockerConnection> | undefined;
  #daemon: DaemonWatch | undefined;
  #pool: NamespacePool | undefined;
  #probing: Promise<unknown> = Promise.resolve();
  #wasThere = false;
  #namespaceCount = 0;

  constructor(options: DockerExecutorOptions) {
    this.#options = options;
    this.#labels = {
      [dockerLabels.worker]: options.workerId,
      [dockerLabels.owner]: formatOwner(options.owner),
    };
  }

  /** Makes ready what the first step would wait for, as soon as Docker answers; `onThere` and `onAway` tell. */
  start(): void {
    let told = false;
    retryWithBackoff(() => this.#connect(), {
      signal: this.#closing.signal,
      firstDelayMs: firstConnectDelayMs,
      maxDelayMs: maxConnectDelayMs,
      onFailure: (error) => {
        if (!told) this.#options.onAway?.(error.message);
        told = true;
      },
    }).catch((error: unknown) => {
      if (!this.#closing.signal.aborted) this.#options.log.error({ err: error }, "Docker is not waited for any more");
    });
  }

  /** Makes ready what the first step would wait for. Tells why Docker cannot be used where it cannot; steps try again. */
  async warmUp(): Promise<string | undefined> {
    try {
      await this.#connect();
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** Whether Docker has answered since this worker began. */
  get wasThere(): boolean {
    return this.#wasThere;
  }

  /** Looks whether Docker can run containers, on connections of its own; tells what is wrong where it cannot. */
  probe(closely: boolean, deadlineMs: number): Promise<HealthProblem | undefined> {
    const probing = this.#probe(closely, deadlineMs).catch((error: unknown): HealthProblem => {
      return { what: "docker", detail: messageOf(error) };
    });
    this.#probing = probing;
    return probing;
  }

  async #probe(closely: boolean, deadlineMs: number): Promise<HealthProblem | undefined> {
    const { address, workerId } = this.#options;
    const { pauseImage, rootDir } = await withDeadline(this.#connect(), deadlineMs, "connecting to Docker");
    const docker = await createDockerClient(address, false);
    const name = `sluice-${workerId.slice(2)}-probe`;
    // The folder of a daemon on another machine says nothing here.
    const folder = address.kind === "socket" ? rootDir : undefined;
    return probeDaemon({ docker, pauseImage, name, labels: this.#labels, rootDir: folder, deadlineMs }, closely);
  }

  /** Drops what was kept ready by a daemon that may not be what it was. */
  reconnect(): void {
    this.#pool?.discardIdle();
  }

  /** Makes room on the disk: removes images that no task needs and, where allowed, the build cache. */
  async makeRoom(withBuildCache: boolean): Promise<void> {
    const { docker, pruner } = await this.#connect();
    await Promise.all([
      pruner.free(),
      withBuildCache && withDeadline(docker.pruneBuilder(), pruneDeadlineMs, "emptying the build cache"),
    ]);
  }

  /** Removes the containers of workers whose process is gone, and of these; tells why Docker cannot be used where not. */
  removeDeadContainers(deadWorkerIds: readonly string[] = []): Promise<string | undefined> {
    return this.#removeDead(removeDeadContainers, deadWorkerIds);
  }

  /** The same for their networks, once their containers have gone. */
  removeDeadNetworks(deadWorkerIds: readonly string[] = []): Promise<string | undefined> {
    return this.#removeDead(removeDeadNetworks, deadWorkerIds);
  }

  async #removeDead(
    remove: typeof removeDeadContainers,
    deadWorkerIds: readonly string[],
  ): Promise<string | undefined> {
    const { owner, log } = this.#options;
    try {
      const { docker } = await this.#connect();
      const removed = await remove(docker, { own: owner, deadWorkerIds }, log);
      if (removed > 0) log.info({ removed }, "removed what dead workers left in Docker");
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** Removes a folder of this machine with files of any user; tells why it could not. */
  async removeFolder(folder: string): Promise<string | undefined> {
    try {
      const { docker, pauseImage: image } = await this.#connect();
      await removeAsRoot(docker, { image, labels: this.#labels, folder, log: this.#options.log });
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  openTask(task: TaskContext): TaskSandbox {
    return new DockerSandbox(task, {
      connect: () => this.#connect(),
      explainAway: () => this.#explainAway(),
      labels: this.#labels,
      isolation: this.#options.isolation,
      log: this.#options.log,
    });
  }

  /** Containers outlive a worker that dies without warning; the next start removes them. */
  killAllNow(): void {
    // There is no time to wait for the daemon.
  }

  /** A Docker that is away is not waited for, until `keepReady`: the next start of a worker removes what is left there. */
  stopWaiting(): void {
    this.#daemon?.stopWaiting();
  }

  /** Removes what is only kept ready, while tasks still run. */
  keepNothingReady(): void {
    this.#pool?.keepNoneReady();
  }

  /** Keeps ready again what the next task would wait for, and waits again for a Docker that is away. */
  keepReady(): void {
    this.#daemon?.waitAgain();
    this.#pool?.keepReady();
  }

  async close(): Promise<string | undefined> {
    this.#closing.abort(new Error("the worker is stopping"));
    this.stopWaiting();
    const connection = await this.#connection?.catch(() => undefined);
    if (connection === undefined) return undefined;
    const { docker, daemon, namespaces, pruner } = connection;
    await Promise.all([namespaces.close(), pruner.close()]);
    await Promise.all([...this.#removals, settlesWithin(this.#probing, probeEndMs)]);
    const isThere = !daemon.session.aborted;
    // Also what a call made whose answer never came.
    if (isThere) await removeLabelled(docker, dockerLabels.worker, this.#options.workerId, this.#options.log);
    daemon.close();
    return isThere ? undefined : "Docker is away: what is left there is removed by the next worker on this machine";
  }

  #connect(): Promise<DockerConnection> {
    this.#connection ??= this.#connectOnce().catch((error: unknown) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  async #connectOnce(): Promise<DockerConnection> {
    const { address, slots, isolation, log } = this.#options;
    this.#client ??= createDockerClient(address, true);
    const docker = await this.#client;
    const unreachable = await explainUnreachable(docker, address);
    if (unreachable !== undefined) throw new StepFault(reasonFor("internal", unreachable));
    const [pauseImage, { cgroups, rootDir }] = await Promise.all([ensurePauseImage(docker), readSetup(docker, log)]);
    const daemon = this.#watch(await createDockerClient(address, false));
    const remove = async (namespace: Namespace) => {
      await daemon.persist(() => removeNamespace(docker, namespace, log));
    };
    const create = async () => {
      const name = `sluice-${this.#options.workerId.slice(2)}-${this.#namespaceCount++}`;
      try {
        return await createNamespace({ docker, pauseImage, name, labels: this.#labels, isolation });
      } catch (error) {
        // Who waits for a namespace need not wait for this too.
        this.#track(daemon.persist(() => removeLabelled(docker, dockerLabels.namespace, name, log).then(() => true)));
        throw error;
      }
    };
    const namespaces = new NamespacePool({
      create,
      remove,
      isPassing: isPassingNetworkFault,
      ready: Math.min(slots, maxReadyNamespaces),
      // A task that is over gives its slot back a little before its namespace.
      max: slots + maxSurplusNamespaces,
      maxUses: mayChangeNetworks(isolation) ? 1 : maxNamespaceUses,
      log,
    });
    this.#pool = namespaces;
    await daemon.open();
    const attach = (containerId: string) => attachToOutput(address, containerId);
    const held = { docker, attach, daemon, namespaces, cgroups, cgroupMounts: readCgroupMounts(), pauseImage, rootDir };
    return { ...held, ...(await this.#openImages(docker)) };
  }

  async #openImages(docker: DockerClient): Promise<Pick<DockerConnection, "images" | "pruner">> {
    const { images: settings, log } = this.#options;
    const { daemonId, store } = await inspectDaemon(docker);
    const { folder, scratchFolder } = settings;
    const cache = new BlobCache({ folder: join(folder, "blobs"), scratchFolder, log });
    // Images are the daemon's: what is noted of one means nothing to another.
    const ledger = new ImageLedger(join(folder, "daemons", daemonId.replaceAll(/[^\w-]/g, "-")));
    const pruner = new ImagePruner({ docker, cache, ledger, limits: settings.limits, log });
    pruner.pruneSoon();
    return { pruner, images: new ImageLoader({ docker, store, cache, ledger, pruner, ecr: settings.ecr, log }) };
  }

  #watch(docker: DockerClient): DaemonWatch {
    const { onThere, onAway, log } = this.#options;
    this.#daemon = new DaemonWatch({
      docker,
      log,
      onThere: () => {
        this.#wasThere = true;
        this.#pool?.discardIdle();
        onThere?.();
      },
      onAway: () => onAway?.("the connection to Docker broke"),
    });
    return this.#daemon;
  }

  #track(removal: Promise<unknown>): void {
    const tracked = removal
      .catch((error: unknown) => this.#options.log.error({ err: error }, "a namespace could not be removed"))
      .finally(() => this.#removals.delete(tracked));
    this.#removals.add(tracked);
  }

  async #explainAway(): Promise<string> {
    const docker = await this.#client;
    const unreachable = docker && (await explainUnreachable(docker, this.#options.address));
    return unreachable ?? "the connection to Docker broke while the step was made; it answers again now";
  }
}

/** Of `docker info`, what the library's types lack. */
interface DaemonInfo {
  CgroupVersion?: string;
  CgroupDriver?: string;
  MemoryLimit?: boolean;
  CpuCfsQuota?: boolean;
  PidsLimit?: boolean;
  DockerRootDir?: string;
}

/**
 * Where the daemon keeps its files, and how it keeps cgroups; a limit that its kernel does not know it would drop without
 * a word to a task.
 */
async function readSetup(
  docker: DockerClient,
  log: Logger,
): Promise<{ cgroups: CgroupSetup; rootDir: string | undefined }> {
  const info: DaemonInfo = await withDeadline(docker.info(), infoDeadlineMs, "docker info");
  const limits = { memory: info.MemoryLimit, cpus: info.CpuCfsQuota, pids: info.PidsLimit };
  const missing = Object.entries(limits).flatMap(([name, isKnown]) => (isKnown === false ? [name] : []));
  if (missing.length > 0) log.warn({ missing }, "Docker cannot enforce these resources on this machine");
  return {
    rootDir: info.DockerRootDir,
    cgroups: {
      version: info.CgroupVersion === "2" ? "2" : "1",
      driver: info.CgroupDriver === "systemd" ? "systemd" : "cgroupfs",
    },
  };
}
