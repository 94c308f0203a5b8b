import { reasonFor } from "../../../shared/domain/reason.ts";
import type { Logger } from "../../../shared/log.ts";
import type { UsageSource } from "../../metrics/usage.ts";
import { retryWithBackoff, settlesWithin, untilAborted, withDeadline } from "../../retry.ts";
import { type RunningStep, type StepExit, StepFault, type StepOutput } from "../executor.ts";
import type { AttachedOutput } from "./attached-output.ts";
import type { DaemonWatch } from "./daemon-watch.ts";
import { Demultiplexer } from "./demultiplexer.ts";
import { type DockerClient, dockerMessage, statusOf } from "./docker-client.ts";
import { explainForeignImage, StartFaultFinder } from "./foreign-image.ts";
import { type CgroupSetup, locateOomCounter, OomWatch } from "./oom-watch.ts";

const callDeadlineMs = 60_000;
/** A wait whose connection broke while the daemon stayed is repeated for so long. */
const waitAgainMs = 30_000;
/** A daemon that is restarted comes back within this time and ends what it left running; longer no task is kept. */
const daemonAwayMs = 30_000;

/** A container that was created and whose output is attached, but that does not run yet. */
export interface AttachedContainer {
  containerId: string;
  output: AttachedOutput;
  /** The daemon's session in which the output is attached. */
  session: AbortSignal;
}

export interface ContainerStepOptions {
  docker: DockerClient;
  daemon: DaemonWatch;
  cgroups: CgroupSetup;
  container: AttachedContainer;
  output: StepOutput;
  usage: UsageSource;
  /** How it is called in reasons. */
  what: string;
  /** Whether the job limits its memory. */
  limitsMemory: boolean;
  log: Logger;
}

/** Starts a container. Throws the daemon's refusal. */
export async function startContainer(docker: DockerClient, containerId: string): Promise<void> {
  await withDeadline(docker.getContainer(containerId).start(), callDeadlineMs, "the start of a container");
}

/** A step or a service in a container that was just started. */
export class ContainerStep implements RunningStep {
  readonly ended: Promise<StepExit>;
  readonly usage: UsageSource;
  readonly #options: ContainerStepOptions;
  readonly #oomWatch: OomWatch;
  /** Aborted once the step was asked to end: its worker wants to go on. */
  readonly #asked = new AbortController();

  constructor(options: ContainerStepOptions) {
    this.#options = options;
    this.usage = options.usage;
    this.#oomWatch = new OomWatch(locateOomCounter(options.cgroups, options.container.containerId));
    this.ended = this.#waitForEnd().finally(() => this.#oomWatch.close());
    // It is awaited when the step is over; a failure before that is not an unhandled one.
    this.ended.catch(() => undefined);
  }

  terminate(): void {
    this.#asked.abort();
    void this.#signal("SIGTERM");
  }

  kill(): void {
    this.#asked.abort();
    void this.#signal("SIGKILL");
  }

  async #waitForEnd(): Promise<StepExit> {
    const { container, output, daemon } = this.#options;
    const { session } = container;
    // What a daemon sends while it goes down may be the last, but nobody can tell.
    session.addEventListener("abort", () => container.output.destroy(), { once: true });
    const startFault = new StartFaultFinder(output);
    const copied = copyOutput(container.output, startFault);
    // Wait after start, for "not running": waiting for the next exit beside the start hung once in 890 times.
    const exitCode = await this.#waitForExit();
    const outputFault = await copied;
    if (exitCode === undefined || !(await daemon.staysIn(session))) return this.#giveUp();
    if (outputFault !== undefined) {
      const detail = `the connection to the output of ${this.#options.what} broke: ${outputFault.message}`;
      throw new StepFault(reasonFor("internal", detail), outputFault);
    }
    const said = exitCode === 0 ? undefined : startFault.fault;
    if (said !== undefined) {
      const reason = await explainForeignImage(this.#options.docker, container.containerId, said);
      if (reason !== undefined) throw new StepFault(reason);
    }
    return { exitCode, outOfMemory: await this.#ranOutOfMemory(exitCode) };
  }

  /** The exit code, or undefined where the daemon went away first: what it says later is its own doing. */
  async #waitForExit(): Promise<number | undefined> {
    const { session } = this.#options.container;
    const waiting = retryWithBackoff(() => this.#handle().wait({ condition: "not-running" }), {
      signal: session,
      maxElapsedMs: waitAgainMs,
      firstDelayMs: 500,
      isRetryable: (error) => statusOf(error) !== 404,
    });
    try {
      // The library never settles a call whose answer breaks off in the middle.
      const answer = await untilAborted(waiting, session);
      return answer && Number(answer.StatusCode);
    } catch (error) {
      if (session.aborted) return undefined;
      const detail =
        statusOf(error) === 404
          ? `the container of ${this.#options.what} was removed by somebody else while it ran`
          : `Docker lost the container of ${this.#options.what}: ${dockerMessage(error)}`;
      throw new StepFault(reasonFor("internal", detail), error);
    }
  }

  /**
   * A daemon that ends takes its containers along, at once or at its next start, and an exit code tells nothing about
   * the step then. The next attempt should not begin beside a container that still runs, so the daemon is waited for.
   */
  async #giveUp(): Promise<never> {
    await settlesWithin(untilAborted(this.#options.daemon.untilThere(), this.#asked.signal), daemonAwayMs);
    await this.#signal("SIGKILL");
    throw new StepFault(
      reasonFor("internal", `Docker was restarted or broke down on this worker while ${this.#options.what} ran`),
    );
  }

  /** The kernel's word, seen here or kept by the daemon: exit code 137 alone could be any SIGKILL. */
  async #ranOutOfMemory(exitCode: number): Promise<boolean> {
    if (this.#oomWatch.hasSeenKill) return true;
    // Most steps end well and without a limit: they need not wait for another answer.
    if (exitCode === 0 && !this.#options.limitsMemory) return false;
    const { State } = await withDeadline(this.#handle().inspect(), callDeadlineMs, "the inspection of a container");
    return State.OOMKilled;
  }

  async #signal(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    try {
      await withDeadline(this.#handle().kill({ signal }), callDeadlineMs, `sending ${signal}`);
    } catch (error) {
      // Gone or already ended: what the signal was for has happened.
      if (statusOf(error) === 404 || statusOf(error) === 409) return;
      this.#options.log.warn({ reason: dockerMessage(error), signal }, "a container could not be signalled");
    }
  }

  #handle() {
    const { docker, container } = this.#options;
    return docker.getContainer(container.containerId);
  }
}

/** Copies a container's output no faster than it is taken; resolves with what broke it, if anything did. */
async function copyOutput(source: AttachedOutput, output: StepOutput): Promise<Error | undefined> {
  const demultiplexer = new Demultiplexer();
  const fault = await source.read((bytes) => {
    const taken = demultiplexer.push(bytes).flatMap((run) => output.write(run.stream, run.bytes) ?? []);
    return taken.length === 0 ? undefined : Promise.all(taken);
  });
  // A daemon that is killed ends its connections like one that is done.
  return fault ?? (demultiplexer.isInsideFrame ? new Error("it ended inside of a frame") : undefined);
}

/**
 * The exit code that a shell would give for a program that could not be started, or undefined where the refusal is
 * not the program's fault.
 */
export function exitCodeOfFailedStart(error: unknown): 126 | 127 | undefined {
  // Without an answer it is the daemon that was missing.
  if (statusOf(error) === undefined) return undefined;
  const message = dockerMessage(error);
  if (!/exec|executable|chdir|cwd|working directory/i.test(message)) return undefined;
  if (/executable file not found|no such file or directory/i.test(message)) return 127;
  if (/permission denied|is a directory|exec format error|not a directory/i.test(message)) return 126;
  return undefined;
}
