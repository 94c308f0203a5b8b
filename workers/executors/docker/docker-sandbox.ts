import { chmod, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ContainerCreateOptions } from "dockerode";
import { reasonFor } from "../../../shared/domain/reason.ts";
import type { ContainerStepSpec } from "../../../shared/jobfile/job-spec.ts";
import type { Logger } from "../../../shared/log.ts";
import { shortenDigest } from "../../images/blob-content.ts";
import type { CgroupMounts } from "../../metrics/cgroup-place.ts";
import { ContainerUsage } from "../../metrics/container-usage.ts";
import type { DockerStats } from "../../metrics/docker-stats.ts";
import { withDeadline } from "../../retry.ts";
import {
  type PreparedService,
  type PreparedStep,
  type RunningService,
  type RunningStep,
  type ServiceLaunch,
  StepFault,
  type StepLaunch,
  type StepOutput,
  type TaskContext,
  type TaskSandbox,
} from "../executor.ts";
import type { AttachedOutput } from "./attached-output.ts";
import { buildStepContainer } from "./container-options.ts";
import type { DaemonWatch } from "./daemon-watch.ts";
import { type DockerClient, dockerLabels, dockerMessage, isConnectionError, statusOf } from "./docker-client.ts";
import type { ImagePruner } from "./image-pruner.ts";
import type { ImageLoader, ImageName } from "./images.ts";
import type { Isolation } from "./isolation.ts";
import type { Namespace } from "./namespace.ts";
import type { NamespacePool } from "./namespace-pool.ts";
import type { CgroupSetup } from "./oom-watch.ts";
import { explainRefusal, type Launched } from "./refusals.ts";
import { removeLabelled } from "./remains.ts";
import { removeContainer } from "./removal.ts";
import { limitResources } from "./resource-limits.ts";
import { runOnFolder } from "./run-on-folder.ts";
import { buildServiceContainer, ContainerService } from "./service-container.ts";
import { type ServiceNamespace, ServiceNamespaces } from "./service-namespaces.ts";
import { type AttachedContainer, ContainerStep, exitCodeOfFailedStart, startContainer } from "./step-container.ts";
import { TaskImages } from "./task-images.ts";

const createDeadlineMs = 60_000;

/** A daemon that answers, and what the worker keeps there. */
export interface DockerConnection {
  docker: DockerClient;
  attach: (containerId: string) => Promise<AttachedOutput>;
  daemon: DaemonWatch;
  namespaces: NamespacePool;
  images: ImageLoader;
  cgroups: CgroupSetup;
  /** Where this machine has its cgroups; undefined where it has none that can be read. */
  cgroupMounts: CgroupMounts | undefined;
  pauseImage: string;
  /** The daemon's folder on its machine. */
  rootDir: string | undefined;
  pruner: ImagePruner;
}

export interface DockerSandboxOptions {
  connect: () => Promise<DockerConnection>;
  /** Says why the daemon does not answer, for the task's reason. */
  explainAway: () => Promise<string>;
  labels: Readonly<Record<string, string>>;
  isolation: Isolation;
  log: Logger;
}

/** Of what a fault is told. */
const theStep: Launched = { name: "the step", isService: false };

/** An image, and what to create from it in the attempt's namespace. */
interface ContainerPlan extends ImageName {
  build: (namespace: Namespace) => Promise<Omit<ContainerCreateOptions, "Image">>;
}

/**
 * The containers of one attempt: steps in one network namespace that it has for itself, services on the network of that
 * namespace.
 */
export class DockerSandbox implements TaskSandbox {
  readonly #task: TaskContext;
  readonly #options: DockerSandboxOptions;
  readonly #stop = new AbortController();
  readonly #containerIds = new Set<string>();
  readonly #pending = new Set<Promise<unknown>>();
  #serviceNamespaces: ServiceNamespaces | undefined;
  #connection: DockerConnection | undefined;
  #namespace: Promise<Namespace> | undefined;
  /** The daemon's session in which the namespace was taken. */
  #session: AbortSignal | undefined;
  /** A call of which nobody knows how it ended may have left a container. */
  #uncertain = false;
  #lastImage: ImageName | undefined;
  readonly #images: TaskImages;
  /** The waits of steps and services that are being prepared, each as it is called in a sentence. */
  readonly #waits = new Set<string>();
  #hasServices = false;
  #closed: Promise<void> | undefined;

  constructor(task: TaskContext, options: DockerSandboxOptions) {
    this.#task = task;
    this.#options = options;
    this.#images = new TaskImages(task, { images: () => this.#connection?.images, log: options.log });
  }

  get waitsFor(): string | undefined {
    const [first] = this.#waits;
    return first;
  }

  async prepareStep(step: StepLaunch, signal: AbortSignal): Promise<PreparedStep> {
    const spec = step.spec as ContainerStepSpec;
    const either = AbortSignal.any([signal, this.#stop.signal]);
    const plan = this.#planStep(step, spec);
    let container = await this.#guard(either, theStep, () => this.#createAttached(plan, either));
    this.#lastImage = spec;
    this.#images.bringAhead(this.#stop.signal);
    return {
      start: (output) =>
        this.#guard(this.#stop.signal, theStep, async () => {
          try {
            return await this.#start(container, output);
          } catch (error) {
            if (!isNamespaceLost(error) || this.#hasServices) throw error;
            container = await this.#createAttached(plan, this.#stop.signal);
            return this.#start(container, output);
          }
        }),
    };
  }

  async prepareService(service: ServiceLaunch, signal: AbortSignal): Promise<PreparedService> {
    this.#hasServices = true;
    const { labels, isolation } = this.#options;
    let own: ServiceNamespace | undefined;
    const plan: ContainerPlan = {
      image: service.spec.image,
      shipped: false,
      build: async ({ networkId }) => {
        own = await this.#enterServiceNamespace(service.name, networkId);
        return buildServiceContainer({ task: this.#task, service, pauseId: own.pauseId, labels, isolation });
      },
    };
    const either = AbortSignal.any([signal, this.#stop.signal]);
    const what = { name: `service ${service.name}`, isService: true };
    const container = await this.#guard(either, what, () => this.#createAttached(plan, either));
    return {
      start: (output) =>
        this.#guard(this.#stop.signal, what, () => this.#startService(service.name, own, container, output)),
    };
  }

  close(): Promise<void> {
    // Once only: a namespace that is given back twice would be lent to two tasks.
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#stop.abort(new Error("the attempt is over"));
    await Promise.allSettled(this.#pending);
    if (this.#connection === undefined) return;
    const { docker, daemon, namespaces } = this.#connection;
    this.#images.release();
    const removed = await daemon.persist(async () => {
      const gone = await Promise.all([...this.#containerIds].map((containerId) => this.#remove(containerId)));
      if (this.#uncertain) await removeLabelled(docker, dockerLabels.attempt, this.#task.attemptId, this.#options.log);
      return gone.every((one) => one);
    });
    const namespace = await this.#namespace?.catch(() => undefined);
    if (namespace === undefined) return;
    const clean = removed && !this.#uncertain && !this.#session?.aborted;
    namespaces.release(namespace, clean ? "clean" : "dirty");
  }

  async takeOutput({ uid, gid }: { uid: number; gid: number }): Promise<void> {
    const { path, output } = this.#task.workspace;
    await this.#runAsRoot(path, (inside) => ["chown", "-R", `${uid}:${gid}`, `${inside}/${basename(output)}`]);
  }

  async clearWorkspace(): Promise<void> {
    const { root, path } = this.#task.workspace;
    await this.#runAsRoot(root, (inside) => ["rm", "-rf", `${inside}/${basename(path)}`]);
  }

  async #runAsRoot(folder: string, command: (inside: string) => string[]): Promise<void> {
    if (this.#connection === undefined || this.#lastImage === undefined) return;
    const { docker, images } = this.#connection;
    const { labels, log } = this.#options;
    const { resources, slots } = this.#task;
    const image = images.nameOf(this.#lastImage);
    await runOnFolder(docker, { image, folder, command, labels, limits: limitResources(resources, slots), log });
  }

  /** Runs something that `close` must wait for, and puts what the daemon says into the task's words. */
  async #guard<T>(signal: AbortSignal, what: Launched, work: () => Promise<T>): Promise<T> {
    const run = work().catch(async (error: unknown) => {
      if (signal.aborted) throw signal.reason;
      throw await this.#toFault(error, what);
    });
    this.#pending.add(run);
    try {
      return await run;
    } finally {
      this.#pending.delete(run);
    }
  }

  async #toFault(error: unknown, what: Launched): Promise<Error> {
    if (error instanceof StepFault) return error;
    if (!isConnectionError(error)) return new StepFault(explainRefusal(error, what), error);
    return new StepFault(reasonFor("internal", await this.#options.explainAway()), error);
  }

  #planStep(step: StepLaunch, spec: ContainerStepSpec): ContainerPlan {
    return {
      image: spec.image,
      shipped: spec.shipped,
      build: async ({ pauseId, nameFiles }) =>
        buildStepContainer({
          task: this.#task,
          step,
          spec,
          labels: this.#options.labels,
          isolation: this.#options.isolation,
          pauseId,
          nameFiles: nameFiles.map((file) => ({ hostPath: this.#nameFilePath(file.path), path: file.path })),
        }),
    };
  }

  async #createAttached(plan: ContainerPlan, signal: AbortSignal): Promise<AttachedContainer> {
    this.#connection = await this.#options.connect();
    const { attach, daemon } = this.#connection;
    const containerId = await this.#create(plan, signal);
    signal.throwIfAborted();
    const { session } = daemon;
    return { containerId, session, output: await attach(containerId) };
  }

  /** Creates a container; brings the image first only where Docker misses it. */
  async #create(plan: ContainerPlan, signal: AbortSignal): Promise<string> {
    for (let tries = 0; ; tries++) {
      const namespace = await this.#wait("a free network of Docker", this.#enterNamespace(signal));
      try {
        this.#images.hold(plan);
        return await this.#createOnce(plan, namespace);
      } catch (error) {
        if (tries >= 2) throw error;
        if (isImageMissing(error)) await this.#wait(nameImage(plan), this.#images.bring(plan, signal));
        // Services could not follow their task into another network; its next attempt begins in a whole one.
        else if (isNamespaceLost(error) && !this.#hasServices) await this.#leaveNamespace();
        else throw error;
      }
    }
  }

  async #wait<T>(what: string, work: Promise<T>): Promise<T> {
    this.#waits.add(what);
    try {
      return await work;
    } finally {
      this.#waits.delete(what);
    }
  }

  async #createOnce(plan: ContainerPlan, namespace: Namespace): Promise<string> {
    if (this.#connection === undefined) throw new Error("there is no connection to Docker");
    const { docker, images } = this.#connection;
    try {
      const options = { ...(await plan.build(namespace)), Image: images.nameOf(plan) };
      const { id } = await withDeadline(docker.createContainer(options), createDeadlineMs, "creating a container");
      this.#containerIds.add(id);
      return id;
    } catch (error) {
      if (isConnectionError(error)) this.#uncertain = true;
      throw error;
    }
  }

  /** The namespace of the attempt: taken with the first container, kept for all. */
  #enterNamespace(signal: AbortSignal): Promise<Namespace> {
    this.#namespace ??= this.#takeNamespace(signal).catch((error: unknown) => {
      this.#namespace = undefined;
      throw error;
    });
    return this.#namespace;
  }

  async #takeNamespace(signal: AbortSignal): Promise<Namespace> {
    if (this.#connection === undefined) throw new Error("there is no connection to Docker");
    const { namespaces: pool, daemon } = this.#connection;
    this.#session = daemon.session;
    const namespace = await pool.acquire(signal);
    try {
      await Promise.all(
        namespace.nameFiles.map(async (file) => {
          const path = this.#nameFilePath(file.path);
          await writeFile(path, file.content);
          // Any user of the image reads it, whatever the umask of the worker.
          await chmod(path, 0o644);
        }),
      );
      return namespace;
    } catch (error) {
      pool.release(namespace, "clean");
      throw error;
    }
  }

  #enterServiceNamespace(name: string, networkId: string): Promise<ServiceNamespace> {
    if (this.#connection === undefined) throw new Error("there is no connection to Docker");
    const { docker, pauseImage } = this.#connection;
    const { labels, isolation } = this.#options;
    this.#serviceNamespaces ??= new ServiceNamespaces({
      docker,
      pauseImage,
      isolation,
      labels: { ...labels, [dockerLabels.attempt]: this.#task.attemptId },
      onCreated: (containerId) => this.#containerIds.add(containerId),
    });
    return this.#serviceNamespaces.enter(name, networkId);
  }

  async #leaveNamespace(): Promise<void> {
    const namespace = await this.#namespace?.catch(() => undefined);
    this.#namespace = undefined;
    if (namespace !== undefined) this.#connection?.namespaces.discardLost(namespace);
  }

  async #start(container: AttachedContainer, output: StepOutput): Promise<RunningStep> {
    if (this.#connection === undefined) throw new Error("there is no connection to Docker");
    const { docker, daemon, cgroups } = this.#connection;
    try {
      await startContainer(docker, container.containerId);
    } catch (error) {
      container.output.destroy();
      const exitCode = exitCodeOfFailedStart(error);
      if (isNamespaceLost(error)) await this.#leaveNamespace();
      if (isNamespaceLost(error) || exitCode === undefined) throw error;
      await output.write("stderr", Buffer.from(`sluice: the step could not be started: ${dockerMessage(error)}\n`));
      return {
        ended: Promise.resolve({ exitCode, outOfMemory: false }),
        terminate: () => undefined,
        kill: () => undefined,
      };
    }
    const { log } = this.#options;
    const limitsMemory = this.#limitsMemory;
    const namespace = await this.#namespace;
    const usage = this.#openUsage(container.containerId, namespace?.pauseId);
    const what = "the step";
    return new ContainerStep({ docker, daemon, cgroups, container, output, usage, what, limitsMemory, log });
  }

  /** What a container uses that has just started; `networkId` names the one whose network namespace it has joined. */
  #openUsage(containerId: string, networkId = containerId): ContainerUsage {
    if (this.#connection === undefined) throw new Error("there is no connection to Docker");
    const { docker, cgroups, cgroupMounts: mounts } = this.#connection;
    return new ContainerUsage({
      containerId,
      networkId,
      mounts,
      driver: cgroups.driver,
      inspectPid: async (id) => (await docker.getContainer(id).inspect()).State.Pid,
      // One look: by itself the daemon takes two, a second apart.
      readStats: (id) => docker.getContainer(id).stats({ stream: false, "one-shot": true }) as Promise<DockerStats>,
      log: this.#options.log,
    });
  }

  async #startService(
    name: string,
    namespace: ServiceNamespace | undefined,
    container: AttachedContainer,
    output: StepOutput,
  ): Promise<RunningService> {
    if (this.#connection === undefined) throw new Error("there is no connection to Docker");
    const { docker, daemon, cgroups } = this.#connection;
    try {
      await startContainer(docker, container.containerId);
    } catch (error) {
      container.output.destroy();
      if (exitCodeOfFailedStart(error) === undefined) throw error;
      const detail = `service ${name} could not be started: ${dockerMessage(error)}`;
      throw new StepFault(reasonFor("service_unhealthy", detail), error);
    }
    const remove = () => this.#remove(container.containerId);
    const { log } = this.#options;
    const what = `service ${name}`;
    const usage = this.#openUsage(container.containerId, namespace?.pauseId);
    const limitsMemory = this.#limitsMemory;
    return new ContainerService(
      { docker, daemon, cgroups, container, output, usage, what, limitsMemory, log },
      namespace?.address,
      remove,
    );
  }

  async #remove(containerId: string): Promise<boolean> {
    const docker = this.#connection?.docker;
    if (docker === undefined) return true;
    const removed = await removeContainer(docker, containerId, this.#options.log);
    if (removed) this.#containerIds.delete(containerId);
    return removed;
  }

  get #limitsMemory(): boolean {
    return this.#task.resources?.memoryBytes !== undefined;
  }

  #nameFilePath(path: string): string {
    return join(this.#task.workspace.private, basename(path));
  }
}

/** The waiting container of the namespace is gone, for example because the daemon was restarted. */
function isNamespaceLost(error: unknown): boolean {
  return /cannot join network of a non running container|no such container|network namespace.*no such file/i.test(
    dockerMessage(error),
  );
}

function nameImage({ image, shipped }: ImageName): string {
  return shipped ? `the shipped image ${shortenDigest(image)}` : `the image ${image}`;
}

function isImageMissing(error: unknown): boolean {
  return statusOf(error) === 404 && /no such image/i.test(dockerMessage(error));
}
