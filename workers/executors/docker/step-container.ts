import type { Readable } from "node:stream";
import { reasonFor } from "../../../shared/domain/reason.ts";
import type { Logger } from "../../../shared/log.ts";
import { retryWithBackoff, withDeadline } from "../../retry.ts";
import { type RunningStep, type StepExit, StepFault, type StepOutput } from "../executor.ts";
import { Demultiplexer } from "./demultiplexer.ts";
import { type DockerClient, dockerMessage, statusOf } from "./docker-client.ts";

const callDeadlineMs = 60_000;
/** A daemon that is restarted comes back within this time, or the step is lost. */
const daemonAwayMs = 30_000;

/** A container that was created and whose output is attached, but that does not run yet. */
export interface AttachedContainer {
  containerId: string;
  output: Readable;
}

/**
 * Attaches before the start: with no log driver, what is written before somebody listens is gone. The daemon keeps
 * no copy of the output; the attached stream is the log.
 */
export async function attachOutput(docker: DockerClient, containerId: string): Promise<Readable> {
  const attaching = docker
    .getContainer(containerId)
    .attach({ stream: true, stdout: true, stderr: true, hijack: true }) as Promise<unknown>;
  return (await withDeadline(attaching, callDeadlineMs, "attaching to a container")) as Readable;
}

/** Starts a container. Throws the daemon's refusal. */
export async function startContainer(docker: DockerClient, containerId: string): Promise<void> {
  await withDeadline(docker.getContainer(containerId).start(), callDeadlineMs, "the start of a container");
}

/** A step, or whatever else `what` says, in a container that was just started. */
export class ContainerStep implements RunningStep {
  readonly ended: Promise<StepExit>;
  readonly #docker: DockerClient;
  readonly #container: AttachedContainer;
  readonly #log: Logger;
  readonly #what: string;

  constructor(docker: DockerClient, container: AttachedContainer, output: StepOutput, log: Logger, what = "the step") {
    this.#what = what;
    this.#docker = docker;
    this.#container = container;
    this.#log = log;
    this.ended = this.#waitForEnd(output);
    // It is awaited when the step is over; a failure before that is not an unhandled one.
    this.ended.catch(() => undefined);
  }

  terminate(): void {
    this.#signal("SIGTERM");
  }

  kill(): void {
    this.#signal("SIGKILL");
  }

  async #waitForEnd(output: StepOutput): Promise<StepExit> {
    const copied = copyOutput(this.#container.output, output);
    // Wait after start, for "not running": waiting for the next exit beside the start hung once in 890 times.
    const exitCode = await this.#waitForExit();
    const outputFault = await copied;
    if (outputFault !== undefined) {
      const detail = `the connection to the output of ${this.#what} broke: ${outputFault.message}`;
      throw new StepFault(reasonFor("internal", detail), outputFault);
    }
    return { exitCode, outOfMemory: exitCode !== 0 && (await this.#ranOutOfMemory()) };
  }

  async #waitForExit(): Promise<number> {
    const container = this.#docker.getContainer(this.#container.containerId);
    try {
      const answer = await retryWithBackoff(() => container.wait({ condition: "not-running" }), {
        maxElapsedMs: daemonAwayMs,
        firstDelayMs: 500,
        isRetryable: (error) => statusOf(error) !== 404,
      });
      return Number(answer.StatusCode);
    } catch (error) {
      const detail =
        statusOf(error) === 404
          ? `the container of ${this.#what} was removed by somebody else while it ran`
          : `Docker lost the container of ${this.#what}: ${dockerMessage(error)}`;
      throw new StepFault(reasonFor("internal", detail), error);
    }
  }

  /** The kernel's word, kept by the daemon: exit code 137 alone could be any SIGKILL. */
  async #ranOutOfMemory(): Promise<boolean> {
    const inspection = this.#docker.getContainer(this.#container.containerId).inspect();
    const { State } = await withDeadline(inspection, callDeadlineMs, "the inspection of a container");
    return State.OOMKilled;
  }

  #signal(signal: "SIGTERM" | "SIGKILL"): void {
    const sent = this.#docker.getContainer(this.#container.containerId).kill({ signal });
    withDeadline(sent, callDeadlineMs, `sending ${signal}`).catch((error: unknown) => {
      // Gone or already ended: what the signal was for has happened.
      if (statusOf(error) === 404 || statusOf(error) === 409) return;
      this.#log.warn({ reason: dockerMessage(error), signal }, "a container could not be signalled");
    });
  }
}

/** Copies a container's output no faster than it is taken; resolves with what broke it, if anything did. */
async function copyOutput(source: Readable, output: StepOutput): Promise<Error | undefined> {
  const demultiplexer = new Demultiplexer();
  try {
    for await (const read of source as AsyncIterable<Buffer>) {
      for (const run of demultiplexer.push(read)) await output.write(run.stream, run.bytes);
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/**
 * The exit code that a shell would give for a program that could not be started, or undefined where the refusal is
 * not the program's fault.
 */
export function exitCodeOfFailedStart(error: unknown): 126 | 127 | undefined {
  const message = dockerMessage(error);
  if (!/exec|executable|chdir|cwd|working directory/i.test(message)) return undefined;
  if (/executable file not found|no such file or directory/i.test(message)) return 127;
  if (/permission denied|is a directory|exec format error|not a directory/i.test(message)) return 126;
  return undefined;
}
