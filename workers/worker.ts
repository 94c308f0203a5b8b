import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Heartbeat, WorkerSettings } from "../shared/api/worker-schemas.ts";
import type { EcrClient } from "../shared/clients/ecr.ts";
import type { ObjectStore } from "../shared/clients/object-store.ts";
import type { Queue } from "../shared/clients/queue.ts";
import { newWorkerId } from "../shared/domain/ids.ts";
import type { AttemptOutcome } from "../shared/domain/manifest.ts";
import type { Reason } from "../shared/domain/reason.ts";
import { timing } from "../shared/domain/timing.ts";
import type { Logger } from "../shared/log.ts";
import { Attempt, type AttemptDeps, type MessageFate } from "./attempt/attempt.ts";
import { Lease } from "./attempt/lease.ts";
import type { ExecutorKind, WorkerConfig } from "./config.ts";
import type { ControlPlaneClient } from "./control-plane-client.ts";
import { planDrain } from "./drain.ts";
import { type DrainCause, describeDrain, reasonOfDrain } from "./drain-cause.ts";
import { DockerExecutor } from "./executors/docker/docker-executor.ts";
import { EcrLogin } from "./executors/ecr-login.ts";
import type { Executor } from "./executors/executor.ts";
import { ProcessExecutor } from "./executors/process/process-executor.ts";
import { FailureStreak } from "./health/failure-streak.ts";
import type { HealthMonitor } from "./health/health-monitor.ts";
import type { Health } from "./health/health-state.ts";
import { createMachineHealth } from "./health/machine-health.ts";
import { HeartbeatLoop } from "./heartbeat.ts";
import { HeldMessages } from "./intake/held-messages.ts";
import { Intake, type IntakeItem } from "./intake/intake.ts";
import type { MaskedDestination } from "./masking/masked-destination.ts";
import { NoticeWatch, openNoticeSources } from "./notices/notice-watch.ts";
import { type Owner, readOwner } from "./owner.ts";
import { removeHostRemains } from "./remains.ts";
import { messageOf, retryWithBackoff, settlesWithin, untilAborted } from "./retry.ts";
import type { WorkerTask } from "./worker-claim.ts";
import { createWorkerDir, removeTree } from "./workspace.ts";

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

interface RunningAttempt {
  attempt: Attempt;
  over: Promise<void>;
}

const registerDeadlineMs = 10_000;
const remainsIntervalMs = 3_600_000;
/** The last words to the control plane are not worth waiting for. */
const farewellDeadlineMs = 1_000;

/**
 * A worker from its registration to its end:
 * `starting ─► alive ─► draining ─► stopped`. A drain is final.
 */
export class Worker {
  readonly workerId = newWorkerId(Date.now());
  readonly #deps: WorkerDeps;
  readonly #log: Logger;
  readonly #executors = new Map<ExecutorKind, Executor>();
  readonly #attempts = new Map<string, RunningAttempt>();
  readonly #cleanups = new Set<Promise<void>>();
  readonly #giveUp = new AbortController();
  readonly #stopKeeping = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #state: Heartbeat["state"] = "alive";
  #killGraceMs: number;
  #docker: DockerExecutor | undefined;
  /** Docker did not answer when it was last heard of. */
  #missesDocker = false;
  #owner: Owner | undefined;
  readonly #health: HealthMonitor;
  /** When it was last found well after it was not: what began before is no evidence against it. */
  #wellSinceMs = 0;
  readonly #streak: FailureStreak;
  #workerDir = "";
  #parts: { held: HeldMessages; intake: Intake; heartbeats: HeartbeatLoop; objects: ObjectStore } | undefined;
  #starting: Promise<boolean> | undefined;
  #registering = false;
  #remainsTimer: NodeJS.Timeout | undefined;
  readonly #notices: NoticeWatch;
  /** The machine may go: what runs is finished, and nothing more is taken. */
  #isFinishing = false;
  #drain: Promise<void> | undefined;
  #drainReason: Reason = reasonOfDrain({ kind: "requested" });

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
    this.#log = deps.log.child({ workerId: this.workerId });
    this.#killGraceMs = deps.config.killGraceMs;
    this.#notices = this.#watchNotices();
    this.#health = this.#watchHealth();
    this.#streak = new FailureStreak(deps.config.health.maxFailuresInARow);
  }

  /** Resolves when the worker has drained, for whatever reason. */
  get ended(): Promise<void> {
    return this.#ended.promise;
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
    const owner = await readOwner();
    this.#owner = owner;
    const { config } = this.#deps;
    await mkdir(config.workDir, { recursive: true, mode: 0o700 });
    this.#workerDir = await createWorkerDir(config.workDir, this.workerId, owner);
    this.#openExecutors(owner);
    this.#health.start();
    this.#notices.start();
    const settings = await this.#register();
    if (settings === undefined || this.#drain !== undefined) return false;
    this.#beginWork(settings);
    // Nothing waits for it, and it must not slow the start down.
    void this.#removeRemains(owner);
    this.#remainsTimer = setInterval(() => void this.#removeRemains(owner), remainsIntervalMs).unref();
    return true;
  }

  /** Removes what workers left that died on this machine. */
  async #removeRemains(owner: Owner): Promise<void> {
    await Promise.all([
      this.#docker?.removeRemains(),
      removeHostRemains(this.#deps.config.workDir, owner, this.#log).catch((error: unknown) =>
        this.#log.error({ err: error }, "what dead workers left could not be removed"),
      ),
    ]);
  }

  /** Docker answers: it may hold what dead workers left there while it was away. */
  #welcomeDocker(): void {
    if (!this.#missesDocker) return;
    this.#missesDocker = false;
    this.#log.info("Docker answers");
    this.#health.hint();
    void this.#docker?.removeRemains();
  }

  /**
   * A worker without its Docker would fail one task after the other: it takes none until Docker is back. One that runs
   * host processes too, on a machine where Docker never answered, has them to run.
   */
  #missDocker(why: string): void {
    this.#missesDocker = true;
    if (this.#needsDocker) this.#health.suspect({ what: "docker", detail: why });
    else this.#log.warn({ reason: why }, "Docker cannot be used: container steps will fail");
  }

  get #needsDocker(): boolean {
    return this.#docker?.wasThere || !this.#deps.config.executors.includes("process");
  }

  #watchHealth(): HealthMonitor {
    const { config, client } = this.#deps;
    const machine = {
      config: config.health,
      workDir: config.workDir,
      docker: () => (this.#needsDocker ? this.#docker : undefined),
      clockSkewMs: () => client.clockSkewMs,
      hostEnv: config.hostEnv,
      removeRemains: async () => {
        if (this.#owner !== undefined) await this.#removeRemains(this.#owner);
      },
      log: this.#log,
    };
    const onChange = (health: Health) => this.#noteHealth(health);
    return createMachineHealth(machine, { hasTasks: () => this.#attempts.size > 0, onChange });
  }

  #noteHealth({ state, problem }: Health): void {
    if (state === "recovered") this.#wellSinceMs = performance.now();
    this.#holdOrResume();
    if (state !== "recovery_failed" || this.#deps.config.health.whenUnhealthy === "wait") return;
    void this.drain({ kind: "unhealthy", detail: problem?.detail ?? "its machine is not well" });
  }

  /** Several tasks in a row that the machine may have failed are more than chance. */
  #noteOutcome(claimed: WorkerTask, claimedAtMs: number, outcome: AttemptOutcome): void {
    const usesDocker =
      Object.keys(claimed.services).length > 0 || claimed.steps.some(({ kind }) => kind === "container");
    const usesHost = claimed.steps.some(({ kind }) => kind === "process");
    // A job that asks for what this worker never had says nothing about its machine.
    const canRun = (!usesHost || this.#executors.has("process")) && (!usesDocker || this.#needsDocker);
    const isExplained = outcome.state !== "completed" && (!this.#health.takesTasks || claimedAtMs < this.#wellSinceMs);
    if (!canRun || isExplained) return;
    const detail = this.#streak.note(`${claimed.jobId}/${claimed.task}`, outcome);
    if (detail !== undefined) this.#health.suspect({ what: "tasks", detail });
  }

  /** Tasks are taken as long as nothing speaks against it. */
  #holdOrResume(): void {
    if (this.#isFinishing || !this.#health.takesTasks) this.#parts?.intake.pause();
    else this.#parts?.intake.resume();
  }

  #watchNotices(): NoticeWatch {
    const { provider, notices: config } = this.#deps.config;
    const finish = (isFinishing: boolean) => {
      this.#isFinishing = isFinishing;
      this.#holdOrResume();
    };
    return new NoticeWatch({
      sources: openNoticeSources(provider, config, Date.now),
      config,
      nowMs: Date.now,
      log: this.#log,
      isIdle: () => this.#attempts.size === 0,
      onFinish: () => finish(true),
      onGoOn: () => finish(false),
      onDrain: (cause) => void this.drain(cause),
    });
  }

  /** Stops taking tasks, lets the running ones finish for a time, gives the rest back, removes everything. */
  drain(cause: DrainCause): Promise<void> {
    this.#drain ??= this.#drainOnce(cause).catch((error: unknown) => {
      this.#log.error({ err: error }, "the drain broke off");
      this.#ended.resolve();
    });
    return this.#drain;
  }

  /** Ends host processes without waiting for anything: this process is about to die. */
  killAllNow(): void {
    for (const executor of this.#executors.values()) executor.killAllNow();
  }

  #openExecutors(owner: Owner): void {
    const { config, executors } = this.#deps;
    const log = this.#log;
    if (executors !== undefined) {
      for (const [kind, executor] of executors) this.#executors.set(kind, executor);
      return;
    }
    if (config.executors.includes("process")) {
      this.#executors.set("process", new ProcessExecutor({ hostEnv: config.hostEnv, log }));
    }
    if (!config.executors.includes("docker")) return;
    const { workerId } = this;
    this.#docker = new DockerExecutor({
      images: {
        folder: join(config.workDir, "images"),
        scratchFolder: this.#workerDir,
        limits: config.imageCache,
        ecr: this.#deps.ecr && new EcrLogin({ client: this.#deps.ecr }),
      },
      isolation: config.isolation,
      address: config.docker,
      slots: config.slots,
      workerId,
      owner,
      log,
      onThere: () => this.#welcomeDocker(),
      onAway: (why) => this.#missDocker(why),
    });
    this.#executors.set("docker", this.#docker);
    // Connects while the worker registers.
    this.#docker.start();
  }

  /** Undefined where the worker was told to stop before the control plane answered. */
  async #register(): Promise<WorkerSettings | undefined> {
    const { config, client, version, build } = this.#deps;
    const worker = {
      workerId: this.workerId,
      pool: config.pool,
      slots: config.slots,
      provider: config.provider,
      host: hostname(),
      version,
      ...(build === undefined ? {} : { build }),
      processSteps: config.executors.includes("process"),
    };
    const { signal } = this.#giveUp;
    const registration = retryWithBackoff(() => client.register(worker, { deadlineMs: registerDeadlineMs, signal }), {
      signal,
      firstDelayMs: 50,
      maxDelayMs: 2_000,
      onFailure: (error) => this.#log.warn({ reason: error.message }, "waiting for the control plane"),
    });
    const settings = await untilAborted(registration, signal);
    if (settings !== undefined) checkSettings(settings, this.#log);
    return settings;
  }

  /** A control plane that has lost its records learns of this worker again; what it holds goes on meanwhile. */
  #registerAgain(): void {
    if (this.#registering) return;
    this.#registering = true;
    void this.#register()
      .catch((error: unknown) => this.#log.error({ reason: messageOf(error) }, "the worker could not register again"))
      .finally(() => {
        this.#registering = false;
      });
  }

  #beginWork(settings: WorkerSettings): void {
    const { client, config, openQueue, openBucket } = this.#deps;
    const log = this.#log;
    const nowMs = () => performance.now();
    const { workerId } = this;
    const queue = openQueue(settings.queueUrl);
    const held = new HeldMessages({ queue, visibilityTimeoutSeconds: settings.visibilityTimeoutSeconds, nowMs, log });
    const intake = new Intake({
      workerId,
      queue,
      client,
      held,
      slots: config.slots,
      receiveWaitSeconds: timing.receiveWaitSeconds,
      nowMs,
      log,
      startTask: (claimed, item, claimedAtMs) => this.#startAttempt(claimed, item, claimedAtMs, settings.leaseMs),
    });
    const heartbeats = new HeartbeatLoop({
      workerId,
      client,
      heartbeatMs: settings.heartbeatMs,
      nowMs,
      log,
      state: () => this.#state,
      slotsFree: () => (this.#state === "alive" ? intake.freeSlots : 0),
      alongside: () => held.renewDue(),
      onCancel: (attemptId, { cause, detail }) =>
        this.#attempts.get(attemptId)?.attempt.interrupt({ kind: "cancelled", cause, detail }),
      onWatched: (attemptId, watched) => this.#attempts.get(attemptId)?.attempt.noteWatched(watched),
      onLive: (attemptId, live) => this.#attempts.get(attemptId)?.attempt.storeLive(live),
      onDrain: () => void this.drain({ kind: "requested" }),
      onUnknown: () => this.#registerAgain(),
    });
    this.#parts = { held, intake, heartbeats, objects: openBucket(settings.bucket) };
    heartbeats.start();
    this.#holdOrResume();
    intake.start();
    log.info({ pool: config.pool, slots: config.slots, executors: config.executors }, "the worker takes tasks");
  }

  #startAttempt(claimed: WorkerTask, item: IntakeItem, claimedAtMs: number, leaseMs: number): void {
    const parts = this.#parts;
    if (parts === undefined) return;
    const { attemptId, leaseToken } = claimed;
    const nowMs = () => performance.now();
    const lease = new Lease({ attemptId, leaseToken, leaseMs, grantedAtMs: claimedAtMs, nowMs });
    parts.heartbeats.add(lease);
    const onOutcome = (outcome: AttemptOutcome) => this.#noteOutcome(claimed, claimedAtMs, outcome);
    const attempt = new Attempt({ ...this.#attemptDeps(parts.objects), onOutcome }, claimed, lease);
    const stopMasking = this.#deps.maskedLog.add(attempt.secretMatcher);
    // Claimed while the worker was told to stop: given back before its first step.
    if (this.#state !== "alive") attempt.interrupt({ kind: "drained", reason: this.#drainReason });
    const over = attempt.run().then((fate) => {
      this.#settleMessage(parts.held, item, fate);
      parts.heartbeats.remove(lease);
      this.#attempts.delete(attemptId);
      // The slot is free before the clean-up: what it held is no longer running.
      parts.intake.taskEnded(item);
      const cleanup = attempt.cleanUp().finally(() => {
        stopMasking();
        this.#cleanups.delete(cleanup);
      });
      this.#cleanups.add(cleanup);
    });
    this.#attempts.set(attemptId, { attempt, over });
  }

  #attemptDeps(objects: ObjectStore): Omit<AttemptDeps, "onOutcome"> {
    return {
      workerId: this.workerId,
      workerDir: this.#workerDir,
      executors: this.#executors,
      client: this.#deps.client,
      objects,
      killGraceMs: () => this.#killGraceMs,
      logFlushMs: { watched: timing.watchedLogFlushMs, unwatched: timing.logFlushMs },
      maxLogBytes: this.#deps.config.maxLogBytes,
      uploadDeadlineMs: timing.uploadDeadlineMs,
      giveUp: this.#giveUp.signal,
      stopKeeping: this.#stopKeeping.signal,
      log: this.#log,
    };
  }

  #settleMessage(held: HeldMessages, { message }: IntakeItem, fate: MessageFate): void {
    switch (fate.kind) {
      case "delete":
        held.delete(message);
        break;
      case "release":
        held.release(message, fate.delaySeconds);
        break;
      case "leave":
        held.forget(message);
        break;
    }
  }

  async #drainOnce(cause: DrainCause): Promise<void> {
    this.#health.stop();
    const startedAtMs = performance.now();
    const plan = planDrain(this.#deps.config.drainMs, this.#killGraceMs);
    const leftMs = (byMs: number) => Math.max(0, startedAtMs + byMs - performance.now());
    this.#state = "draining";
    this.#drainReason = reasonOfDrain(cause);
    this.#killGraceMs = plan.killGraceMs;
    this.#log.info({ why: describeDrain(cause), tasks: this.#attempts.size, ...plan }, "draining");
    const keeping = setTimeout(
      () => this.#stopKeeping.abort(new Error("the worker was being stopped and had no more time for it")),
      plan.keepByMs,
    );
    const reporting = setTimeout(() => this.#giveUp.abort(new Error("the drain's time is over")), plan.reportByMs);
    const inTime = await settlesWithin(
      this.#stopWork(() => leftMs(plan.finishByMs)),
      plan.endByMs,
    );
    if (!inTime) this.#log.error({ attempts: [...this.#attempts.keys()] }, "not everything ended within the drain");
    clearTimeout(keeping);
    clearTimeout(reporting);
    clearInterval(this.#remainsTimer);
    this.#notices.stop();
    this.#giveUp.abort(new Error("the worker has stopped"));
    this.#parts?.heartbeats.stop();
    this.#state = "stopped";
    if (inTime) await this.#parts?.heartbeats.beat(farewellDeadlineMs);
    this.killAllNow();
    this.#deps.client.close();
    this.#log.info({ ms: Math.round(performance.now() - startedAtMs) }, "stopped");
    this.#ended.resolve();
  }

  /** Everything a drain does, in parallel where it can be; resolves when nothing of this worker is left. */
  async #stopWork(finishLeftMs: () => number): Promise<void> {
    if (this.#parts === undefined) {
      // Told to stop before it had begun.
      this.#giveUp.abort(new Error("the worker is being stopped"));
      await this.#starting?.catch(() => false);
      return this.#removeEverything();
    }
    const { intake, heartbeats, held } = this.#parts;
    void heartbeats.beat();
    const stopped = intake.stop();
    this.#docker?.keepNothingReady();
    await settlesWithin(this.#untilIdle(), finishLeftMs());
    for (const { attempt } of this.#attempts.values()) {
      attempt.interrupt({ kind: "drained", reason: this.#drainReason });
    }
    await stopped;
    await this.#untilIdle();
    await Promise.all([held.settle(), this.#removeEverything()]);
  }

  async #untilIdle(): Promise<void> {
    while (this.#attempts.size > 0) await Promise.all([...this.#attempts.values()].map(({ over }) => over));
  }

  async #removeEverything(): Promise<void> {
    this.#docker?.stopWaiting();
    while (this.#cleanups.size > 0) await Promise.all(this.#cleanups);
    const closed = await Promise.allSettled([...this.#executors.values()].map((executor) => executor.close()));
    for (const result of closed) {
      if (result.status === "rejected")
        this.#log.error({ reason: messageOf(result.reason) }, "an executor did not close");
    }
    await removeTree(this.#workerDir);
  }
}

/** The control plane's times have to fit into each other, or leases end under healthy workers. */
function checkSettings(settings: WorkerSettings, log: Logger): void {
  const { heartbeatMs, leaseMs, visibilityTimeoutSeconds } = settings;
  if (heartbeatMs * 3 <= leaseMs && leaseMs <= visibilityTimeoutSeconds * 1000) return;
  log.warn(
    { heartbeatMs, leaseMs, visibilityTimeoutSeconds },
    "three heartbeats should fit into a lease, and a lease into the visibility timeout of the queue",
  );
}
