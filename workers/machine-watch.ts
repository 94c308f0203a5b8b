import type { AttemptOutcome } from "../shared/domain/manifest.ts";
import type { Logger } from "../shared/log.ts";
import type { WorkerConfig } from "./config.ts";
import type { ControlPlaneClient } from "./control-plane-client.ts";
import type { DrainCause } from "./drain-cause.ts";
import type { DockerExecutor } from "./executors/docker/docker-executor.ts";
import { FailureStreak } from "./health/failure-streak.ts";
import type { HealthMonitor } from "./health/health-monitor.ts";
import type { Health } from "./health/health-state.ts";
import { createMachineHealth } from "./health/machine-health.ts";
import { NoticeWatch, openNoticeSources } from "./notices/notice-watch.ts";
import type { WorkerTask } from "./worker-claim.ts";

export interface MachineWatchOptions {
  config: Pick<WorkerConfig, "executors" | "health" | "hostEnv" | "notices" | "provider" | "workDir">;
  client: Pick<ControlPlaneClient, "clockSkewMs">;
  /** Whether no task runs. */
  isIdle: () => boolean;
  /** Removes what dead workers left on this machine; never throws. */
  removeRemains: () => Promise<void>;
  /** `takesTasks` may have changed. */
  onChange: () => void;
  onDrain: (cause: DrainCause) => void;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
  log: Logger;
}

/** What a worker knows of its machine: whether it is well, whether Docker answers, and whether the machine goes away. */
export class MachineWatch {
  readonly #options: MachineWatchOptions;
  readonly #monitor: HealthMonitor;
  readonly #notices: NoticeWatch;
  readonly #streak: FailureStreak;
  #docker: DockerExecutor | undefined;
  /** Why Docker did not answer when it was last heard of. */
  #dockerProblem: string | undefined;
  /** When it was last found well after it was not: what began before is no evidence against it. */
  #wellSinceMs = 0;
  /** The machine may go: what runs is finished, and nothing more is taken. */
  #isFinishing = false;

  constructor(options: MachineWatchOptions) {
    this.#options = options;
    this.#monitor = this.#openMonitor();
    this.#notices = this.#openNotices();
    this.#streak = new FailureStreak(options.config.health.maxFailuresInARow);
  }

  get health(): Health {
    return this.#monitor.health;
  }

  /** Whether nothing of the machine speaks against taking tasks. */
  get takesTasks(): boolean {
    return !this.#isFinishing && this.#monitor.takesTasks;
  }

  /** Begins to look; `docker` is looked after too, where tasks run in it. */
  start(docker: DockerExecutor | undefined): void {
    this.#docker = docker;
    this.#monitor.start();
    this.#notices.start();
  }

  /** Leaves the health of the machine alone, while the worker drains. */
  goQuiet(): void {
    this.#monitor.stop();
  }

  /** Looks after its health again. */
  resume(): void {
    this.#monitor.start();
    // It may have gone while nobody wanted to hear of it.
    if (this.#dockerProblem !== undefined) this.missDocker(this.#dockerProblem);
  }

  stop(): void {
    this.#monitor.stop();
    this.#notices.stop();
  }

  /** Docker answers: it may hold what dead workers left there while it was away. */
  welcomeDocker(): void {
    if (this.#dockerProblem === undefined) return;
    this.#dockerProblem = undefined;
    this.#options.log.info("Docker answers");
    this.#monitor.hint();
    void this.#options.removeRemains();
  }

  /**
   * A worker without its Docker would fail one task after the other: it takes none until Docker is back. One that runs
   * host processes too, on a machine where Docker never answered, has them to run.
   */
  missDocker(why: string): void {
    this.#dockerProblem = why;
    if (this.#needsDocker) this.#monitor.suspect({ what: "docker", detail: why });
    else this.#options.log.warn({ reason: why }, "Docker cannot be used: container steps will fail");
  }

  /** Several tasks in a row that the machine may have failed are more than chance. */
  noteOutcome(claimed: WorkerTask, claimedAtMs: number, outcome: AttemptOutcome): void {
    const usesDocker =
      Object.keys(claimed.services).length > 0 || claimed.steps.some(({ kind }) => kind === "container");
    const usesHost = claimed.steps.some(({ kind }) => kind === "process");
    // A job that asks for what this worker never had says nothing about its machine.
    const canRun = (!usesHost || this.#runsProcesses) && (!usesDocker || this.#needsDocker);
    const isExplained = outcome.state !== "completed" && (!this.#monitor.takesTasks || claimedAtMs < this.#wellSinceMs);
    if (!canRun || isExplained) return;
    const detail = this.#streak.note(`${claimed.jobId}/${claimed.task}`, outcome);
    if (detail !== undefined) this.#monitor.suspect({ what: "tasks", detail });
  }

  get #runsProcesses(): boolean {
    return this.#options.config.executors.includes("process");
  }

  get #needsDocker(): boolean {
    return this.#docker?.wasThere || !this.#runsProcesses;
  }

  #openMonitor(): HealthMonitor {
    const { config, client, isIdle, removeRemains, log } = this.#options;
    const machine = {
      config: config.health,
      workDir: config.workDir,
      docker: () => (this.#needsDocker ? this.#docker : undefined),
      clockSkewMs: () => client.clockSkewMs,
      hostEnv: config.hostEnv,
      removeRemains,
      log,
    };
    return createMachineHealth(machine, { hasTasks: () => !isIdle(), onChange: (health) => this.#noteHealth(health) });
  }

  #noteHealth({ state, problem }: Health): void {
    const { config, nowMs, onChange, onDrain } = this.#options;
    if (state === "recovered") this.#wellSinceMs = nowMs();
    onChange();
    if (state !== "recovery_failed" || config.health.whenUnhealthy === "wait") return;
    onDrain({ kind: "unhealthy", detail: problem?.detail ?? "its machine is not well" });
  }

  #openNotices(): NoticeWatch {
    const { config, isIdle, onChange, onDrain, log } = this.#options;
    const finish = (isFinishing: boolean) => {
      this.#isFinishing = isFinishing;
      onChange();
    };
    return new NoticeWatch({
      sources: openNoticeSources(config.provider, config.notices, Date.now),
      config: config.notices,
      nowMs: Date.now,
      log,
      isIdle,
      onFinish: () => finish(true),
      onGoOn: () => finish(false),
      onDrain,
    });
  }
}
