import { reasonFor } from "../../../shared/domain/reason.ts";
import type { Logger } from "../../../shared/log.ts";
import type { DockerAddress } from "../../docker-address.ts";
import { formatOwner, type Owner } from "../../owner.ts";
import { messageOf } from "../../retry.ts";
import { type Executor, StepFault, type TaskContext, type TaskSandbox } from "../executor.ts";
import { createDockerClient, type DockerClient, dockerLabels, explainUnreachable } from "./docker-client.ts";
import { type DockerConnection, DockerSandbox } from "./docker-sandbox.ts";
import { ImageLoader } from "./images.ts";
import { createNamespace, removeNamespace } from "./namespace.ts";
import { NamespacePool } from "./namespace-pool.ts";
import { ensurePauseImage } from "./pause-image.ts";
import { removeDockerRemains, removeLabelled } from "./remains.ts";

/** Namespaces kept ready at most: each costs a process and a network of Docker's thirty. */
const maxReadyNamespaces = 4;
const maxSurplusNamespaces = 2;
/** A fresh one from time to time bounds how long anything unseen could stay in one. */
const maxNamespaceUses = 50;

export interface DockerExecutorOptions {
  address: DockerAddress;
  slots: number;
  workerId: string;
  owner: Owner;
  log: Logger;
}

/** Runs steps in containers of a Docker daemon on the same machine. */
export class DockerExecutor implements Executor {
  readonly #options: DockerExecutorOptions;
  readonly #labels: Readonly<Record<string, string>>;
  #client: Promise<DockerClient> | undefined;
  #connection: Promise<DockerConnection> | undefined;
  #namespaceCount = 0;

  constructor(options: DockerExecutorOptions) {
    this.#options = options;
    this.#labels = {
      [dockerLabels.worker]: options.workerId,
      [dockerLabels.owner]: formatOwner(options.owner),
    };
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

  /** Removes what dead workers left in Docker. Tells why Docker cannot be used where it cannot. */
  async removeRemains(): Promise<string | undefined> {
    try {
      const { docker } = await this.#connect();
      const removed = await removeDockerRemains(docker, this.#options.owner, this.#options.log);
      if (removed > 0) this.#options.log.info({ removed }, "removed what dead workers left in Docker");
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
      log: this.#options.log,
    });
  }

  /** Containers outlive a worker that dies without warning; the next start removes them. */
  killAllNow(): void {
    // There is no time to wait for the daemon.
  }

  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    if (connection === undefined) return;
    await connection.namespaces.close();
    // Also what a call made whose answer never came.
    await removeLabelled(connection.docker, dockerLabels.worker, this.#options.workerId, this.#options.log);
  }

  #connect(): Promise<DockerConnection> {
    this.#connection ??= this.#connectOnce().catch((error: unknown) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  async #connectOnce(): Promise<DockerConnection> {
    const { address, slots, log } = this.#options;
    this.#client ??= createDockerClient(address);
    const docker = await this.#client;
    const unreachable = await explainUnreachable(docker, address);
    if (unreachable !== undefined) throw new StepFault(reasonFor("internal", unreachable));
    const pauseImage = await ensurePauseImage(docker);
    const namespaces = new NamespacePool({
      create: (signal) =>
        createNamespace({
          docker,
          pauseImage,
          name: `sluice-${this.#options.workerId.slice(2)}-${this.#namespaceCount++}`,
          labels: this.#labels,
          log,
          signal,
        }),
      remove: (namespace) => removeNamespace(docker, namespace, log),
      ready: Math.min(slots, maxReadyNamespaces),
      // A task that is over gives its slot back a little before its namespace.
      max: slots + maxSurplusNamespaces,
      maxUses: maxNamespaceUses,
      log,
    });
    namespaces.fill();
    return { docker, namespaces, images: new ImageLoader(docker, log) };
  }

  async #explainAway(): Promise<string> {
    const docker = await this.#client;
    const unreachable = docker && (await explainUnreachable(docker, this.#options.address));
    return unreachable ?? "the connection to Docker broke while the step was made; it answers again now";
  }
}
