import type { Readable } from "node:stream";
import type Docker from "dockerode";
import type { ContainerCreateOptions } from "dockerode";
import type { Logger } from "../../../shared/log.ts";
import type { UsageSource } from "../../metrics/usage.ts";
import { untilAborted, withDeadline } from "../../retry.ts";
import type { RunningService, ServiceLaunch, TaskContext } from "../executor.ts";
import { Demultiplexer } from "./demultiplexer.ts";
import { type DockerClient, dockerLabels, dockerMessage, statusOf } from "./docker-client.ts";
import { endExec } from "./end-exec.ts";
import { type Isolation, restrictRights } from "./isolation.ts";
import { limitResources } from "./resource-limits.ts";
import { ContainerStep, type ContainerStepOptions } from "./step-container.ts";

const callDeadlineMs = 60_000;
/** What a command prints is for a sentence. */
const maxOutputBytes = 4096;

export interface ServiceContainerInput {
  task: Pick<TaskContext, "attemptId" | "resources" | "slots">;
  service: ServiceLaunch;
  /** The container that holds the service's own network namespace open. */
  pauseId: string;
  isolation: Isolation;
  labels: Readonly<Record<string, string>>;
}

/**
 * What Docker is asked to create for a service: a container in a network namespace of its own, which is on the task's
 * network. Two services may listen on the same port.
 */
export function buildServiceContainer(input: ServiceContainerInput): Omit<ContainerCreateOptions, "Image"> {
  const { attemptId, resources, slots } = input.task;
  const { spec } = input.service;
  return {
    // Beside the image's entrypoint, as `docker run` and compose files have it: entrypoints of databases set them up.
    ...(spec.command === undefined ? {} : { Cmd: spec.command }),
    Env: Object.entries({ TINI_KILL_PROCESS_GROUP: "1", ...spec.env }).map(([key, value]) => `${key}=${value}`),
    Labels: { ...input.labels, [dockerLabels.attempt]: attemptId, [dockerLabels.role]: "service" },
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      NetworkMode: `container:${input.pauseId}`,
      Init: true,
      LogConfig: { Type: "none", Config: {} },
      AutoRemove: false,
      ...restrictRights(input.isolation),
      ...limitResources(resources, slots),
      Tmpfs: Object.fromEntries(spec.tmpfs.map((mount) => splitMount(mount))),
    },
  };
}

/** `/path:options`; the options may be absent. */
function splitMount(mount: string): [path: string, options: string] {
  const at = mount.indexOf(":");
  return at < 0 ? [mount, ""] : [mount.slice(0, at), mount.slice(at + 1)];
}

/** A service in a container that was just started. */
export class ContainerService implements RunningService {
  readonly address: string | undefined;
  readonly #docker: DockerClient;
  readonly #containerId: string;
  readonly #step: ContainerStep;
  readonly #remove: () => Promise<unknown>;
  readonly #log: Logger;

  /** Watches a container that has started; `remove` takes it away with all that is known of it. */
  constructor(options: ContainerStepOptions, address: string | undefined, remove: () => Promise<unknown>) {
    this.#docker = options.docker;
    this.#containerId = options.container.containerId;
    this.#step = new ContainerStep(options);
    this.#log = options.log;
    this.address = address;
    this.#remove = remove;
  }

  get ended(): RunningService["ended"] {
    return this.#step.ended;
  }

  get usage(): UsageSource {
    return this.#step.usage;
  }

  terminate(): void {
    this.#step.terminate();
  }

  kill(): void {
    this.#step.kill();
  }

  async isRunning(): Promise<boolean> {
    const inspection = this.#docker.getContainer(this.#containerId).inspect();
    try {
      return (await withDeadline(inspection, callDeadlineMs, "the inspection of a container")).State.Running;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  async remove(): Promise<void> {
    await this.#remove();
  }

  async runInside(command: readonly string[], signal: AbortSignal): Promise<{ exitCode: number; output: string }> {
    let exec: Docker.Exec | undefined;
    try {
      exec = await this.#docker
        .getContainer(this.#containerId)
        .exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true, abortSignal: signal });
      const stream = await exec.start({ hijack: true, stdin: false, abortSignal: signal });
      const output = await readOutput(stream, signal);
      signal.throwIfAborted();
      const { ExitCode } = await exec.inspect({ abortSignal: signal });
      return { exitCode: ExitCode ?? -1, output };
    } catch (error) {
      if (signal.aborted) {
        // Beside whatever comes next: nobody waits for a command that did not answer.
        if (exec !== undefined) void this.#end(exec);
        throw signal.reason;
      }
      throw new Error(`${command[0] ?? ""} could not be run inside it: ${dockerMessage(error)}`, { cause: error });
    }
  }

  /** Ends a command that does not end by itself; checks that hang would pile up in a service that is looked at often. */
  async #end(exec: Docker.Exec): Promise<void> {
    try {
      const why = await endExec({ docker: this.#docker, containerId: this.#containerId, exec });
      if (why !== undefined) this.#log.warn({ why }, "a command inside a service goes on until the service ends");
    } catch (error) {
      // The service has ended, and the command with it.
      if (statusOf(error) === 404 || statusOf(error) === 409) return;
      this.#log.warn({ reason: dockerMessage(error) }, "a command inside a service could not be ended");
    }
  }
}

/** What a command prints, its beginning. */
async function readOutput(stream: Readable, signal: AbortSignal): Promise<string> {
  const demultiplexer = new Demultiplexer();
  const pieces: Buffer[] = [];
  let bytes = 0;
  const read = async () => {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      for (const run of demultiplexer.push(piece)) {
        if (bytes < maxOutputBytes) pieces.push(Buffer.from(run.bytes));
        bytes += run.bytes.length;
      }
    }
  };
  try {
    await untilAborted(read(), signal);
  } finally {
    stream.destroy();
  }
  return Buffer.concat(pieces).toString("utf8").slice(0, maxOutputBytes);
}
