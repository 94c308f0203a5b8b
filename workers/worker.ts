import type { Heartbeat, WorkerSettings } from "../shared/api/worker-schemas.ts";
import type { EcrClient } from "../shared/clients/ecr.ts";
import type { ObjectStore } from "../shared/clients/object-store.ts";
import type { Queue } from "../shared/clients/queue.ts";
import { newWorkerId } from "../shared/domain/ids.ts";
import { type Reason, reasonFor } from "../shared/domain/reason.ts";
import { timing } from "../shared/domain/timing.ts";
import { isOlderVersion } from "../shared/domain/version-order.ts";
import type { Logger } from "../shared/log.ts";
import type { ExecutorKind, WorkerConfig } from "./config.ts";
import type { ControlPlaneClient } from "./control-plane-client.ts";
import { Drain, type DrainedWorker } from "./drain.ts";
import { type DrainCause, describeDrain, reasonOfDrain } from "./drain-cause.ts";
import { DrainClock } from "./drain-clock.ts";
import { DrainPhases } from "./drain-phases.ts";
import type { DockerExecutor } from "./executors/docker/docker-executor.ts";
import type { Executor } from "./executors/executor.ts";
import { openExecutors } from "./executors/open-executors.ts";
import { killProcessesOf } from "./executors/process/stray-processes.ts";
import { farewellDeadlineMs, sayFarewell } from "./farewell.ts";
import { HeartbeatLoop } from "./heartbeat.ts";
import { HostUse } from "./host-use.ts";
import { HeldMessages } from "./intake/held-messages.ts";
import { Intake } from "./intake/intake.ts";
import { MachineWatch } from "./machine-watch.ts";
import type { MaskedDestination } from "./masking/masked-destination.ts";
import { createHostSampler } from "./metrics/host-sample.ts";
import { MetricRecorder } from "./metrics/metric-recorder.ts";
import { readOwner } from "./owner.ts";
import { Registration } from "./registration.ts";
import { Remains } from "./remains.ts";
import { RunningAttempts, type RunningAttemptsOptions } from "./running-attempts.ts";
import { createWorkerDir, makeWorkDir, removeTree } from "./workspace.ts";

/** What a worker is made of; clients of AWS are made once its settings are known. */
export interface WorkerDeps {
  config: WorkerConfig;
  version: string;
  /** The commit the worker was bundled from; absent where it runs from its sources. */
  build?: string | undefined;
  client: ControlPlaneClient;
  openQueue: (queueUrl: string) => Queue;
  openBucket: (bucket: string) => ObjectStore;
  /** Asks for tokens of AWS's registries with the worker's own credentials; absent where it has none. */
  ecr?: EcrClient | undefined;
  /** Takes the place of what runs steps of these kinds, such as to measure all but the steps themselves. */
  executors?: ReadonlyMap<ExecutorKind, Executor>;
  log: Logger;
  /** Where `log` writes to, which then masks the secrets of running tasks. */
  maskedLog: Pick<MaskedDestination, "add">;
}

/** So often a worker asks whether a drain that may be taken back still is wanted. */
const revocableBeatMs = 1_000;
/** Attempts that have ended have put their samples; what is left then is set aside for the next worker. */
const samplesDeadlineMs = 1_000;

/** What a worker has once it is registered. */
interface WorkerParts {
  held: HeldMessages;
  intake: Intake;
  heartbeats: HeartbeatLoop;
  attempts: RunningAttempts;
  metrics: MetricRecorder;
}

/**
 * A worker from its registration to its end: `starting ─► alive ─► draining ─► stopped`. A drain that only the control
 * plane asked for can be undone until the farewell is taken, see `Drain`.
 */
export class Worker {
  readonly workerId = newWorkerId(Date.now());
  readonly #deps: WorkerDeps;
  readonly #log: Logger;
  readonly #nowMs = () => performance.now();
  #executors: ReadonlyMap<ExecutorKind, Executor> = new Map();
  readonly #clock = new DrainClock(this.#nowMs);
  readonly #registration: Registration;
  readonly #ended = Promise.withResolvers<DrainCause>();
  #docker: DockerExecutor | undefined;
  readonly #machine: MachineWatch;
  /** Undefined until it is made: what goes with a folder goes by its name. */
  #workerDir: string | undefined;
  #parts: WorkerParts | undefined;
  #starting: Promise<boolean> | undefined;
  #remains: Remains | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #drain: Drain | undefined;
  #hostUse: HostUse | undefined;
  #hasStopped = false;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
    this.#log = deps.log.child({ workerId: this.workerId });
    this.#machine = new MachineWatch({
      ...deps,
      isIdle: () => (this.#parts?.attempts.size ?? 0) === 0,
      removeRemains: async () => this.#remains?.look(),
      onChange: () => this.#holdOrResume(),
      onDrain: (cause) => void this.drain(cause),
      nowMs: this.#nowMs,
      log: this.#log,
    });
    this.#registration = new Registration({
      ...deps,
      workerId: this.workerId,
      giveUp: () => this.#clock.signal("report"),
      log: this.#log,
    });
  }

  /** Resolves when the worker has drained, with the cause that tells most. */
  get ended(): Promise<DrainCause> {
    return this.#ended.promise;
  }

  get #state(): Heartbeat["state"] {
    if (this.#hasStopped) return "stopped";
    return this.#drain === undefined ? "alive" : "draining";
  }

  /**
   * Registers and begins to take tasks; waits for a control plane that is not there yet. True at the first poll, false
   * where a drain came first.
   */
  start(): Promise<boolean> {
    this.#starting ??= this.#startOnce();
    return this.#starting;
  }

  async #startOnce(): Promise<boolean> {
    if (this.#drain !== undefined) return false;
    const owner = await readOwner();
    const { config } = this.#deps;
    await makeWorkDir(config.workDir);
    const workerDir = await createWorkerDir(config.workDir, this.workerId, owner);
    this.#workerDir = workerDir;
    this.#hostUse = new HostUse(workerDir, this.#log);
    this.#hostUse.next();
    const opened = openExecutors({
      deps: this.#deps,
      workerId: this.workerId,
      workerDir,
      owner,
      log: this.#log,
      onThere: () => this.#machine.welcomeDocker(),
      onAway: (why) => this.#machine.missDocker(why),
    });
    this.#executors = opened.executors;
    this.#docker = opened.docker;
    this.#remains = new Remains({
      workDir: config.workDir,
      workerDir,
      own: owner,
      docker: this.#docker,
      adoptSpools: async () => this.#parts?.metrics.adoptSpools(),
      nowMs: this.#nowMs,
      log: this.#log,
    });
    if (this.#drain !== undefined) return false;
    this.#machine.start(this.#docker);
    const settings = await this.#registration.register();
    if (settings === undefined || this.#drain !== undefined) return false;
    this.#beginWork(settings, workerDir);
    // Nothing waits for it, and it must not slow the start down.
    this.#remains.start();
    return true;
  }

  /** Tasks are taken as long as nothing speaks against it. */
  #holdOrResume(): void {
    if (this.#machine.takesTasks) this.#parts?.intake.resume();
    else this.#parts?.intake.pause();
  }

  /**
   * Stops taking tasks, lets the running ones finish for a time, gives the rest back, removes everything. Resolves when
   * the worker has ended; another cause while it drains changes what that one would change.
   */
  async drain(cause: DrainCause): Promise<void> {
    if (this.#drain === undefined) this.#beginDrain(cause);
    else this.#joinDrain(this.#drain, cause);
    await this.ended;
  }

  /** Ends host processes without waiting for anything: this process is about to die. */
  killAllNow(): void {
    for (const executor of this.#executors.values()) executor.killAllNow();
  }

  #beginWork(settings: WorkerSettings, workerDir: string): void {
    const { client, config, openQueue, openBucket, maskedLog } = this.#deps;
    const { workerId } = this;
    const log = this.#log;
    const nowMs = this.#nowMs;
    const { visibilityTimeoutSeconds, leaseMs, heartbeatMs } = settings;
    const queue = openQueue(settings.queueUrl);
    const held = new HeldMessages({ queue, visibilityTimeoutSeconds, nowMs, log });
    const intake = new Intake({
      workerId,
      queue,
      client,
      held,
      slots: config.slots,
      receiveWaitSeconds: timing.receiveWaitSeconds,
      nowMs,
      log,
      startTask: (claimed, item, claimedAtMs) => attempts.start(claimed, item, claimedAtMs, this.#explainRefusal()),
    });
    const objects = openBucket(settings.bucket);
    const metrics = new MetricRecorder({
      workDir: config.workDir,
      workerDir,
      workerId,
      objects,
      host: createHostSampler({ folder: config.workDir }),
      intervalMs: timing.sampleMs,
      log,
    });
    const heartbeats = new HeartbeatLoop({
      workerId,
      client,
      heartbeatMs,
      intervalMs: () => (this.#drain?.isRevocable ? Math.min(heartbeatMs, revocableBeatMs) : heartbeatMs),
      nowMs,
      log,
      state: () => this.#state,
      slotsFree: () => (this.#state === "alive" ? intake.freeSlots : 0),
      describe: () => this.#describe(attempts),
      alongside: () => held.renewDue(),
      onCancel: (attemptId, { cause, detail }) =>
        attempts.get(attemptId)?.interrupt({ kind: "cancelled", cause, detail }),
      onWatched: (attemptId, watched) => attempts.get(attemptId)?.noteWatched(watched),
      onLive: (attemptId, live) => attempts.get(attemptId)?.storeLive(live),
      onDrain: (isWanted) => (isWanted ? void this.drain({ kind: "requested" }) : this.#drain?.undo()),
      onRequiredVersion: (version) => this.#leaveIfOlder(version),
      // Of one that has said its farewell it is not to hear anew.
      onUnknown: () => !this.#hasStopped && this.#registration.registerAgain(),
    });
    const attempts = new RunningAttempts({
      attempt: this.#attemptDeps({ workerDir, objects, metrics }),
      clock: this.#clock,
      held,
      heartbeats,
      leaseMs,
      nowMs,
      maskedLog,
      onOutcome: (claimed, claimedAtMs, outcome) => this.#machine.noteOutcome(claimed, claimedAtMs, outcome),
      onEnded: (item) => {
        intake.taskEnded(item);
        this.#waitIdly();
      },
    });
    this.#parts = { held, intake, heartbeats, attempts, metrics };
    heartbeats.start();
    this.#holdOrResume();
    intake.start();
    this.#waitIdly();
    log.info({ pool: config.pool, slots: config.slots, executors: config.executors }, "the worker takes tasks");
  }

  /** What was claimed just before the worker stopped taking tasks is given back before its first step. */
  #explainRefusal(): Reason | undefined {
    if (this.#drain !== undefined) return reasonOfDrain(this.#drain.cause);
    if (this.#machine.takesTasks) return undefined;
    return reasonFor("drained", "the worker had just stopped taking tasks: the task starts again elsewhere");
  }

  #attemptDeps(
    places: Pick<RunningAttemptsOptions["attempt"], "workerDir" | "objects" | "metrics">,
  ): RunningAttemptsOptions["attempt"] {
    const { client, config } = this.#deps;
    return {
      workerId: this.workerId,
      executors: this.#executors,
      client,
      ...places,
      killGraceMs: config.drain.killGraceMs,
      logFlushMs: { watched: timing.watchedLogFlushMs, unwatched: timing.logFlushMs },
      maxLogBytes: config.maxLogBytes,
      uploadDeadlineMs: timing.uploadDeadlineMs,
      log: this.#log,
    };
  }

  /** Begins to count the time without tasks anew, for a worker that ends when it has none for long. */
  #waitIdly(): void {
    const { idleTimeoutMs } = this.#deps.config.drain;
    clearTimeout(this.#idleTimer);
    if (idleTimeoutMs === undefined || this.#drain !== undefined) return;
    this.#idleTimer = setTimeout(() => {
      const parts = this.#parts;
      // A task that is being claimed is no attempt yet, but has its slots; the end of each begins to count anew.
      const isIdle = parts?.attempts.size === 0 && parts.intake.isIdle;
      if (isIdle) void this.drain({ kind: "idle" });
      else this.#waitIdly();
    }, idleTimeoutMs);
  }

  /** Asked for again with each heartbeat: an undrain changes nothing about it. */
  #leaveIfOlder(required: string): void {
    const { version } = this.#deps;
    if (!isOlderVersion(version, required)) return;
    void this.drain({ kind: "outdated", detail: `version ${required} is required, this is ${version}` });
  }

  #describe(attempts: RunningAttempts): Partial<Heartbeat> {
    const cause = this.#drain?.cause;
    const { state, attempt, problem } = this.#machine.health;
    const host = this.#hostUse?.next();
    return {
      ...(host && { host }),
      health: { state, ...(attempt > 0 && { attempt }), ...(problem && { detail: problem.detail }) },
      ...(cause && { drainCause: { kind: cause.kind, detail: describeDrain(cause) } }),
      ...(this.#hasStopped && { abandoned: attempts.listOpen() }),
    };
  }

  #beginDrain(cause: DrainCause): void {
    const { drain: times } = this.#deps.config;
    const log = this.#log;
    const phases = new DrainPhases(this.#nowMs);
    const drain = new Drain(cause, {
      worker: this.#drained(),
      times,
      clock: this.#clock,
      phases,
      nowMs: this.#nowMs,
      log,
    });
    this.#drain = drain;
    this.#machine.goQuiet();
    clearTimeout(this.#idleTimer);
    this.#parts?.attempts.tellPhases(phases);
    this.#parts?.heartbeats.start();
    this.#docker?.keepNothingReady();
    log.info({ why: describeDrain(cause), tasks: this.#parts?.attempts.size ?? 0, ...times }, "draining");
    void drain.run().then((isOver) => {
      if (isOver) this.#end(drain.cause);
    });
  }

  #joinDrain(drain: Drain, cause: DrainCause): void {
    const wasRevocable = drain.isRevocable;
    drain.join(cause);
    // Who would take the drain back is told at once that this changes nothing any more.
    if (wasRevocable && !drain.isRevocable && !this.#hasStopped) this.#parts?.heartbeats.start();
  }

  /** Takes tasks again; running tasks just go on, and those that were told to end go on ending. */
  #goOn(): void {
    this.#log.info({ tasks: this.#parts?.attempts.size ?? 0 }, "the drain is undone: tasks are taken again");
    this.#drain = undefined;
    this.#hasStopped = false;
    this.#docker?.keepReady();
    this.#parts?.attempts.tellPhases(undefined);
    this.#machine.resume();
    this.#holdOrResume();
    this.#parts?.intake.start();
    this.#parts?.heartbeats.start();
    this.#waitIdly();
  }

  #drained(): DrainedWorker {
    return {
      stopIntake: async () => {
        await this.#parts?.intake.stop();
        if (this.#parts !== undefined) return;
        // Told to stop before it had begun.
        this.#clock.pass("report");
        await this.#starting?.catch(() => false);
      },
      untilIdle: async () => this.#parts?.attempts.untilIdle(),
      giveBack: (reason) => this.#parts?.attempts.giveBack(reason),
      settleMessages: async () => this.#parts?.held.releaseAll(),
      cleanUp: async () => {
        this.#docker?.stopWaiting();
        const [problem] = await Promise.all([this.#parts?.attempts.untilClean(), this.#remains?.settled()]);
        return problem;
      },
      removals: () => [
        ...[...this.#executors].map(([kind, executor]): [string, () => Promise<string | undefined>] => [
          kind,
          () => executor.close(),
        ]),
        ["workspaces", () => this.#removeFolder()],
      ],
      sayFarewell: (mayStay) => this.#sayFarewell(mayStay),
      goOn: () => this.#goOn(),
    };
  }

  async #removeFolder(): Promise<string | undefined> {
    if (this.#workerDir === undefined) return undefined;
    await this.#parts?.metrics.close(samplesDeadlineMs);
    // By this folder alone a later worker would know what tasks left that this one had no time to clean up after.
    await killProcessesOf([this.#workerDir]);
    if (await removeTree(this.#workerDir)) return undefined;
    return "files of other users are left in the worker's folder: the next worker on this machine removes them";
  }

  async #sayFarewell(mayStay: boolean): Promise<boolean> {
    this.#hasStopped = true;
    const { heartbeats } = this.#parts ?? {};
    if (heartbeats !== undefined) {
      const isOpen = () => this.#drain?.isRevocable ?? false;
      return sayFarewell(heartbeats, { isQuestion: mayStay, isOpen });
    }
    if (this.#registration.wasTried) {
      const stopped = { state: "stopped" as const, slotsFree: 0, attempts: [] };
      await this.#deps.client.beat(this.workerId, stopped, { deadlineMs: farewellDeadlineMs });
    }
    return false;
  }

  #end(cause: DrainCause): void {
    this.#remains?.stop();
    this.#machine.stop();
    this.#clock.pass("report");
    this.killAllNow();
    this.#deps.client.close();
    this.#ended.resolve(cause);
  }
}
