import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import type { ServiceSpec } from "../../shared/jobfile/job-spec.ts";
import type { Logger } from "../../shared/log.ts";
import { endWithGrace } from "../attempt/end-with-grace.ts";
import {
  type PreparedService,
  type RunningService,
  type ServiceLaunch,
  type StepExit,
  StepFault,
  type StepOutput,
} from "../executors/executor.ts";
import type { ClosableOutput } from "../masking/masked-output.ts";
import { messageOf, sleep, untilAborted, withDeadline } from "../retry.ts";
import { waitUntilHealthy } from "./health.ts";
import { createProbe } from "./probes.ts";
import { ServiceOutput } from "./service-output.ts";
import type { TextFinder } from "./text-finder.ts";

/** Starts of one service, the first included, before the task fails. */
export const maxServiceStarts = 3;
const defaultRestartDelayMs = 500;
/** A service that is started anew gets this long for its last words. */
const failedGraceMs = 2_000;
const endDeadlineMs = 5_000;

export interface ServiceSetOptions {
  services: Readonly<Record<string, ServiceSpec>>;
  prepare: (launch: ServiceLaunch, signal: AbortSignal) => Promise<PreparedService>;
  /** Opens a service's log; `wrap` stands right before what is stored. */
  openLog: (name: string, wrap: (log: StepOutput) => StepOutput) => ClosableOutput;
  /** Ends every wait for services at once: the attempt is being ended. */
  signal: AbortSignal;
  /** Told once where a service ends after all were ready. */
  onDied: (reason: Reason) => void;
  /** Told of each start of a service. */
  onStarted: (name: string, running: RunningService) => void;
  log: Logger;
  /** Between the end of one start and the next. */
  restartDelayMs?: number;
}

interface Service {
  launch: ServiceLaunch;
  output: ServiceOutput;
  isReady: boolean;
  running?: RunningService;
}

/**
 * The services of one attempt: `starting ─► up ─► stopping`. While they start, one that ends or does not become
 * healthy is started anew, a bounded number of times; once all are ready, the end of one is the task's.
 */
export class ServiceSet {
  readonly #options: ServiceSetOptions;
  readonly #services: readonly Service[];
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #allReady = Promise.withResolvers<void>();
  #phase: "starting" | "up" | "stopping" = "starting";
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: ServiceSetOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#over.signal]);
    this.#services = Object.entries(options.services).map(([name, spec]) => {
      const text = spec.health?.check.kind === "log" ? spec.health.check.text : undefined;
      const output = new ServiceOutput((wrap) => options.openLog(name, wrap), text);
      return { launch: { name, spec }, output, isReady: false };
    });
  }

  /**
   * Brings all images, starts all services at the same time and resolves when all are ready. Throws a `StepFault` that
   * tells what is wrong with which of them, or the signal's reason.
   */
  start(): Promise<void> {
    this.#work = this.#startAll().catch((error: unknown) => this.#fail(error));
    return this.#allReady.promise;
  }

  /** Which services are not ready while steps wait for them, for a sentence. */
  get waitsFor(): string | undefined {
    const names = this.#services.filter(({ isReady }) => !isReady).map(({ launch }) => launch.name);
    if (this.#phase !== "starting" || names.length === 0) return undefined;
    return `${names.length === 1 ? "the service" : "the services"} ${names.join(", ")}`;
  }

  /** Whether a service has ended that should run, though nobody was told yet: a step's failure may be its doing. */
  async findDead(): Promise<Reason | undefined> {
    if (this.#phase !== "up") return undefined;
    const reasons = await Promise.all(
      this.#services.map((service) =>
        findDeath(service).catch((error: unknown) => {
          this.#options.log.warn({ reason: messageOf(error) }, "a service could not be looked at");
          return undefined;
        }),
      ),
    );
    return reasons.find((reason) => reason !== undefined);
  }

  /** Ends all services at once, each with a grace period, and closes their logs. Never throws. */
  async stop(graceMs: number, abandon: AbortSignal): Promise<void> {
    this.#phase = "stopping";
    this.#over.abort(new Error("the services are being stopped"));
    await this.#work;
    await Promise.all(
      this.#services.map(async (service) => {
        if (service.running !== undefined) await this.#end(service, service.running, graceMs, abandon);
        service.output.close();
      }),
    );
  }

  async #startAll(): Promise<void> {
    const { prepare } = this.#options;
    const prepared = await Promise.all(this.#services.map(({ launch }) => prepare(launch, this.#signal)));
    await Promise.all(
      this.#services.map((service, index) =>
        this.#keepUp(service, prepared[index]).catch((error: unknown) => this.#fail(error)),
      ),
    );
  }

  /** Starts a service until it stays; ends when the service does or may. */
  async #keepUp(service: Service, first: PreparedService | undefined): Promise<void> {
    const { launch, output } = service;
    let prepared = first;
    for (let starts = 1; ; starts++) {
      prepared ??= await this.#options.prepare(launch, this.#signal);
      const failure = await this.#runOnce(service, prepared);
      prepared = undefined;
      if (this.#phase !== "starting") throw new StepFault(describeDeath(service, failure));
      if (starts === maxServiceStarts) throw new StepFault(describeFailedStarts(service, failure));
      output.note(`service ${launch.name} ${failure}; it is started again (${starts + 1} of ${maxServiceStarts})`);
      this.#options.log.info({ service: launch.name, failure, starts }, "a service is started again");
      await this.#remove(service);
      await sleep(this.#options.restartDelayMs ?? defaultRestartDelayMs, this.#signal);
      this.#signal.throwIfAborted();
    }
  }

  /** One start of a service, to its end; tells in what way it failed. Throws the signal's reason where it did not. */
  async #runOnce(service: Service, prepared: PreparedService): Promise<string> {
    const finder = service.output.beginStart();
    const running = await prepared.start(service.output);
    service.running = running;
    this.#options.onStarted(service.launch.name, running);
    const ended = running.ended.then((exit) => explainExit(exit));
    const over = new AbortController();
    try {
      const failure = await Promise.race([ended, this.#waitUntilReady(service, running, finder, over.signal)]);
      if (failure !== undefined) return failure;
      this.#markReady(service);
      const end = await untilAborted(ended, this.#signal);
      if (end === undefined) throw this.#signal.reason;
      return end;
    } finally {
      over.abort();
      service.isReady = false;
    }
  }

  /** Undefined once the service is ready, else why it is not. */
  async #waitUntilReady(
    { launch }: Service,
    running: RunningService,
    finder: TextFinder,
    over: AbortSignal,
  ): Promise<string | undefined> {
    const { health } = launch.spec;
    if (health === undefined) return undefined;
    const why = await waitUntilHealthy({
      health,
      probe: createProbe(health.check, { name: launch.name, running, finder }),
      signal: AbortSignal.any([this.#signal, over]),
      nowMs: () => performance.now(),
      // A text that is waited for ends the wait when it comes.
      sleep: (ms, signal) => sleep(ms, AbortSignal.any([signal, finder.found])),
    });
    return why === undefined ? undefined : `did not become healthy: ${why}`;
  }

  #markReady(service: Service): void {
    service.isReady = true;
    if (this.#phase !== "starting" || !this.#services.every(({ isReady }) => isReady)) return;
    this.#phase = "up";
    this.#allReady.resolve();
  }

  #fail(error: unknown): void {
    if (this.#phase === "up" && !this.#signal.aborted) {
      const words = `a service could not be watched: ${messageOf(error)}`;
      this.#options.onDied(error instanceof StepFault ? error.reason : reasonFor("internal", words));
      return;
    }
    // Changes nothing where all were ready.
    this.#allReady.reject(this.#signal.aborted ? this.#signal.reason : error);
  }

  /** Makes room for another start; what a start printed last is told before. */
  async #remove(service: Service): Promise<void> {
    const { running } = service;
    if (running === undefined) return;
    await this.#end(service, running, failedGraceMs, this.#signal);
    delete service.running;
    await running.remove();
  }

  async #end({ launch }: Service, running: RunningService, graceMs: number, abandon: AbortSignal): Promise<void> {
    try {
      await endWithGrace(running, graceMs, abandon);
    } catch (error) {
      // It goes with its sandbox.
      this.#options.log.warn({ service: launch.name, reason: messageOf(error) }, "a service did not end");
    }
  }
}

async function findDeath(service: Service): Promise<Reason | undefined> {
  const { running } = service;
  if (running === undefined || (await running.isRunning())) return undefined;
  const exit = await withDeadline(running.ended, endDeadlineMs, "the end of a service");
  return describeDeath(service, explainExit(exit));
}

function explainExit({ exitCode, outOfMemory }: StepExit): string {
  return `ended with exit code ${exitCode}${outOfMemory ? " (out of memory)" : ""}`;
}

function describeFailedStarts({ launch, output }: Service, failure: string): Reason {
  return tellLastLines(`service ${launch.name} ${failure} (started ${maxServiceStarts} times)`, output);
}

function describeDeath({ launch, output }: Service, failure: string): Reason {
  return tellLastLines(`service ${launch.name} ${failure} while the task needed it`, output);
}

function tellLastLines(sentence: string, output: ServiceOutput): Reason {
  const lines = output.lastLines();
  const words = lines.length === 0 ? "It printed nothing." : ["Its last log lines:", ...lines].join("\n");
  return reasonFor("service_unhealthy", `${sentence}. ${words}`);
}
