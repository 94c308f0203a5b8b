import { withDeadline } from "../../retry.ts";
import type { DockerClient } from "./docker-client.ts";
import type { Isolation } from "./isolation.ts";
import { createPauseContainer, startPauseContainer } from "./namespace.ts";

const inspectDeadlineMs = 60_000;

/** The network namespace of a service: its own address and ports on the network of its task. */
export interface ServiceNamespace {
  pauseId: string;
  address: string | undefined;
}

export interface ServiceNamespacesOptions {
  docker: DockerClient;
  pauseImage: string;
  isolation: Isolation;
  labels: Readonly<Record<string, string>>;
  /** Told of each container that is made: it goes with the task. */
  onCreated: (containerId: string) => void;
}

/**
 * The namespaces of a task's services, each kept from one start of its service to the next. A container of its own
 * holds each open, so that its routes are as they should be before the service runs.
 */
export class ServiceNamespaces {
  readonly #options: ServiceNamespacesOptions;
  readonly #byService = new Map<string, Promise<ServiceNamespace>>();

  constructor(options: ServiceNamespacesOptions) {
    this.#options = options;
  }

  /** The namespace of a service; made on the task's network where there is none yet. */
  enter(service: string, networkId: string): Promise<ServiceNamespace> {
    const known = this.#byService.get(service);
    if (known !== undefined) return known;
    const made = this.#make(service, networkId).catch((error: unknown) => {
      this.#byService.delete(service);
      throw error;
    });
    this.#byService.set(service, made);
    return made;
  }

  async #make(service: string, networkId: string): Promise<ServiceNamespace> {
    const { docker, labels, onCreated } = this.#options;
    const pauseId = await createPauseContainer(this.#options, {
      Hostname: service,
      Labels: { ...labels },
      // Docker's DNS knows it by the service's name.
      NetworkingConfig: { EndpointsConfig: { [networkId]: { Aliases: [service] } } },
      HostConfig: { NetworkMode: networkId },
    });
    onCreated(pauseId);
    await startPauseContainer(docker, pauseId);
    const inspection = docker.getContainer(pauseId).inspect();
    const { NetworkSettings } = await withDeadline(inspection, inspectDeadlineMs, "the inspection of a container");
    return { pauseId, address: Object.values(NetworkSettings.Networks)[0]?.IPAddress || undefined };
  }
}
