import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { reasonFor } from "../../../shared/domain/reason.ts";
import type { ContainerStepSpec } from "../../../shared/jobfile/job-spec.ts";
import type { Logger } from "../../../shared/log.ts";
import { withDeadline } from "../../retry.ts";
import {
  type PreparedStep,
  type RunningStep,
  StepFault,
  type StepLaunch,
  type StepOutput,
  type TaskContext,
  type TaskSandbox,
} from "../executor.ts";
import { buildStepContainer } from "./container-options.ts";
import { type DockerClient, dockerLabels, dockerMessage, isConnectionError, statusOf } from "./docker-client.ts";
import type { ImageLoader } from "./images.ts";
import type { Namespace } from "./namespace.ts";
import type { NamespacePool } from "./namespace-pool.ts";
import { removeLabelled } from "./remains.ts";
import { removeContainer } from "./removal.ts";
import {
  type AttachedContainer,
  attachOutput,
  ContainerStep,
  exitCodeOfFailedStart,
  startContainer,
} from "./step-container.ts";

const createDeadlineMs = 60_000;
const clearDeadlineMs = 60_000;

/** A daemon that answers, and what the worker keeps there. */
export interface DockerConnection {
  docker: DockerClient;
  namespaces: NamespacePool;
  images: ImageLoader;
}

export interface DockerSandboxOptions {
  connect: () => Promise<DockerConnection>;
  /** Says why the daemon does not answer, for the task's reason. */
  explainAway: () => Promise<string>;
  labels: Readonly<Record<string, string>>;
  log: Logger;
}

/** The containers of one attempt, in one network namespace that it has for itself. */
export class DockerSandbox implements TaskSandbox {
  readonly #task: TaskContext;
  readonly #options: DockerSandboxOptions;
  readonly #stop = new AbortController();
  readonly #containerIds = new Set<string>();
  readonly #pending = new Set<Promise<unknown>>();
  #connection: DockerConnection | undefined;
  #namespace: Promise<Namespace> | undefined;
  /** A call of which nobody knows how it ended may have left a container. */
  #uncertain = false;
  #lastImage: string | undefined;
  #closed: Promise<void> | undefined;

  constructor(task: TaskContext, options: DockerSandboxOptions) {
    this.#task = task;
    this.#options = options;
  }

  async prepareStep(step: StepLaunch, signal: AbortSignal): Promise<PreparedStep> {
    const spec = step.spec as ContainerStepSpec;
    const either = AbortSignal.any([signal, this.#stop.signal]);
    let container = await this.#guard(either, () => this.#createAttached(step, spec, either));
    return {
      start: (output) =>
        this.#guard(this.#stop.signal, async () => {
          try {
            return await this.#start(container, output);
          } catch (error) {
            if (!isNamespaceLost(error)) throw error;
            container = await this.#createAttached(step, spec, this.#stop.signal);
            return this.#start(container, output);
          }
        }),
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
    const { docker, namespaces } = this.#connection;
    const removed = await Promise.all([...this.#containerIds].map((containerId) => this.#remove(containerId)));
    if (this.#uncertain) await removeLabelled(docker, dockerLabels.attempt, this.#task.attemptId, this.#options.log);
    const namespace = await this.#namespace?.catch(() => undefined);
    if (namespace === undefined) return;
    const clean = removed.every((gone) => gone) && !this.#uncertain;
    namespaces.release(namespace, clean ? "clean" : "dirty");
  }

  async clearWorkspace(): Promise<void> {
    if (this.#connection === undefined || this.#lastImage === undefined) return;
    const { docker } = this.#connection;
    const inside = "/sluice-remains";
    const container = await docker.createContainer({
      Image: this.#lastImage,
      User: "0",
      Entrypoint: ["rm", "-rf", `${inside}/${basename(this.#task.workspace.path)}`],
      Labels: { ...this.#options.labels, [dockerLabels.role]: "cleaner" },
      HostConfig: {
        NetworkMode: "none",
        LogConfig: { Type: "none", Config: {} },
        Mounts: [{ Type: "bind", Source: this.#task.workspace.root, Target: inside }],
      },
    });
    try {
      await startContainer(docker, container.id);
      await withDeadline(container.wait({ condition: "not-running" }), clearDeadlineMs, "clearing a workspace");
    } finally {
      await removeContainer(docker, container.id, this.#options.log);
    }
  }

  /** Runs something that `close` must wait for, and puts what the daemon says into the task's words. */
  async #guard<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const run = work().catch(async (error: unknown) => {
      if (signal.aborted) throw signal.reason;
      throw await this.#toFault(error);
    });
    this.#pending.add(run);
    try {
      return await run;
    } finally {
      this.#pending.delete(run);
    }
  }

  async #toFault(error: unknown): Promise<Error> {
    if (error instanceof StepFault) return error;
    const detail = isConnectionError(error)
      ? await this.#options.explainAway()
      : `Docker refused to run the step: ${dockerMessage(error)}`;
    return new StepFault(reasonFor("internal", detail), error);
  }

  async #createAttached(step: StepLaunch, spec: ContainerStepSpec, signal: AbortSignal): Promise<AttachedContainer> {
    this.#connection = await this.#options.connect();
    const { docker } = this.#connection;
    const containerId = await this.#create(step, spec, signal);
    signal.throwIfAborted();
    return { containerId, output: await attachOutput(docker, containerId) };
  }

  /** Creates a step's container; brings the image first only where Docker misses it. */
  async #create(step: StepLaunch, spec: ContainerStepSpec, signal: AbortSignal): Promise<string> {
    for (let tries = 0; ; tries++) {
      const namespace = await this.#enterNamespace(signal);
      try {
        return await this.#createOnce(step, spec, namespace);
      } catch (error) {
        if (tries >= 2) throw error;
        if (isNamespaceLost(error)) await this.#leaveNamespace();
        else if (isImageMissing(error)) await this.#bringImage(spec, signal);
        else throw error;
      }
    }
  }

  async #createOnce(step: StepLaunch, spec: ContainerStepSpec, namespace: Namespace): Promise<string> {
    const options = buildStepContainer({
      task: this.#task,
      step,
      spec,
      labels: this.#options.labels,
      pauseId: namespace.pauseId,
      nameFiles: namespace.nameFiles.map((file) => ({ hostPath: this.#nameFilePath(file.path), path: file.path })),
    });
    const docker = this.#connection?.docker;
    if (docker === undefined) throw new Error("there is no connection to Docker");
    try {
      const { id } = await withDeadline(docker.createContainer(options), createDeadlineMs, "creating a container");
      this.#containerIds.add(id);
      this.#lastImage = spec.image;
      return id;
    } catch (error) {
      if (isConnectionError(error)) this.#uncertain = true;
      throw error;
    }
  }

  #bringImage(spec: ContainerStepSpec, signal: AbortSignal): Promise<void> {
    const images = this.#connection?.images;
    if (images === undefined) throw new Error("there is no connection to Docker");
    return spec.shipped
      ? images.load(spec.image, this.#task.images[spec.image], signal)
      : images.pull(spec.image, signal);
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
    const pool = this.#connection?.namespaces;
    if (pool === undefined) throw new Error("there is no connection to Docker");
    const namespace = await pool.acquire(signal);
    try {
      await Promise.all(
        namespace.nameFiles.map((file) => writeFile(this.#nameFilePath(file.path), file.content, { mode: 0o644 })),
      );
      return namespace;
    } catch (error) {
      pool.release(namespace, "clean");
      throw error;
    }
  }

  async #leaveNamespace(): Promise<void> {
    const namespace = await this.#namespace?.catch(() => undefined);
    this.#namespace = undefined;
    if (namespace !== undefined) this.#connection?.namespaces.discardLost(namespace);
  }

  async #start(container: AttachedContainer, output: StepOutput): Promise<RunningStep> {
    const docker = this.#connection?.docker;
    if (docker === undefined) throw new Error("there is no connection to Docker");
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
    return new ContainerStep(docker, container, output, this.#options.log);
  }

  async #remove(containerId: string): Promise<boolean> {
    const docker = this.#connection?.docker;
    if (docker === undefined) return true;
    const removed = await removeContainer(docker, containerId, this.#options.log);
    if (removed) this.#containerIds.delete(containerId);
    return removed;
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

function isImageMissing(error: unknown): boolean {
  return statusOf(error) === 404 && /no such image/i.test(dockerMessage(error));
}
