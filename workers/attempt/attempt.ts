import type { LiveWish } from "../../shared/api/worker-schemas.ts";
import type { AttemptOutcome, LogSummary, StepResult } from "../../shared/domain/manifest.ts";
import { serviceLogPrefix, stepLogPrefix } from "../../shared/domain/object-keys.ts";
import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import type { StepSpec } from "../../shared/jobfile/job-spec.ts";
import type { Logger } from "../../shared/log.ts";
import type { ExecutorKind } from "../config.ts";
import {
  type RunningStep,
  StepFault,
  type StepOutput,
  type TaskContext,
  type TaskSandbox,
} from "../executors/executor.ts";
import { listSecretParts } from "../executors/registry-auth.ts";
import { LimitedOutput } from "../logs/limited-output.ts";
import { type LogOwner, StepLog } from "../logs/step-log.ts";
import { type ClosableOutput, maskOutput } from "../masking/masked-output.ts";
import { SecretMatcher } from "../masking/secret-matcher.ts";
import { maskText } from "../masking/stream-masker.ts";
import type { UnitName } from "../metrics/attempt-metrics.ts";
import type { RecordedAttempt } from "../metrics/metric-recorder.ts";
import { messageOf } from "../retry.ts";
import { ServiceSet } from "../services/service-set.ts";
import type { WorkerTask } from "../worker-claim.ts";
import { createWorkspace, removeTree, type Workspace } from "../workspace.ts";
import type { AttemptDeps } from "./attempt-deps.ts";
import { AttemptEnd, type AttemptOwner, type OutputPlace } from "./attempt-end.ts";
import { AttemptInterrupted, formatDuration, type Interrupt } from "./interrupt.ts";
import type { Lease } from "./lease.ts";
import { LiveArtifacts } from "./live-artifacts.ts";
import { runSteps } from "./steps.ts";

/** Services end beside the upload of the artifact, but their logs have to be whole before the attempt is committed. */
const serviceGraceMs = 5_000;
/** A worker that drains has little time left when its tasks have stopped. */
const drainedServiceGraceMs = 1_000;

/** One try at a task on this worker: its steps, its logs, its artifact, its manifest, its result. */
export class Attempt {
  readonly #deps: AttemptDeps;
  /** Finds the secrets of the task, wherever they are not to be seen. */
  readonly secretMatcher: SecretMatcher;
  readonly #claimed: WorkerTask;
  readonly #lease: Lease;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #sandboxes = new Map<ExecutorKind, TaskSandbox>();
  readonly #logs: Promise<LogSummary>[] = [];
  readonly #startedAtMs = Date.now();
  #workspace: Workspace | undefined;
  readonly #stepsEnded = Promise.withResolvers<undefined>();
  #servicesStopped: Promise<void> | undefined;
  #services: ServiceSet | undefined;
  #hasStarted = false;
  #watched = false;
  #live: LiveArtifacts | undefined;
  #metrics: RecordedAttempt | undefined;
  #end: AttemptEnd | undefined;

  constructor(deps: AttemptDeps, claimed: WorkerTask, lease: Lease) {
    this.#deps = deps;
    this.#claimed = claimed;
    this.#lease = lease;
    this.#log = deps.log.child({ attemptId: claimed.attemptId });
    this.secretMatcher = new SecretMatcher([
      ...[...claimed.secrets.values()].map((secret) => secret.reveal()),
      ...(claimed.registryAuth === undefined ? [] : listSecretParts(claimed.registryAuth)),
    ]);
  }

  /** Ends the attempt early; the first interrupt decides, later ones change nothing. */
  interrupt(interrupt: Interrupt): void {
    this.#stop.abort(new AttemptInterrupted(interrupt));
  }

  /** Tells whether somebody watches its logs now. */
  noteWatched(watched: boolean): void {
    this.#watched = watched;
  }

  /** Stores what has been written so far, beside the steps; before there is a place to write to there is nothing. */
  storeLive(wish: LiveWish): void {
    this.#live?.store(wish);
  }

  /** Resolves when nothing of its steps runs any more. */
  get stepsEnded(): Promise<undefined> {
    return this.#stepsEnded.promise;
  }

  /** Runs the attempt to its end, until what it leaves is kept. Never throws. */
  async run(owner: AttemptOwner): Promise<void> {
    const { timeoutMs } = this.#claimed;
    const timer = setTimeout(
      () =>
        this.interrupt({
          kind: "timed_out",
          detail: `the task did not end within its timeout of ${formatDuration(timeoutMs)}${this.#tellWait()}`,
        }),
      timeoutMs,
    );
    try {
      const end = await this.#execute().catch((error: unknown) => this.#explainBreak(error));
      clearTimeout(timer);
      this.#stepsEnded.resolve(undefined);
      this.#end = this.#openEnd();
      if (end.outcome !== undefined) owner.settle(await this.#end.finish(end.outcome, end.steps));
      else {
        const reason = this.#drainReason ?? reasonFor("drained", "the worker is being stopped");
        await this.#end.giveBack(reason, end.steps, owner);
      }
    } catch (error) {
      if (!this.#lease.lost.aborted) this.#log.error({ err: error }, "an attempt broke off");
      else
        this.#log.warn({ reason: messageOf(this.#lease.lost.reason) }, "an attempt was stopped: nothing is reported");
      owner.settle({ kind: "leave" });
    } finally {
      clearTimeout(timer);
      this.#stepsEnded.resolve(undefined);
    }
  }

  /**
   * Removes everything that was made for the attempt; tells what is left. Never throws: the next start of a worker
   * tries again.
   */
  async cleanUp(): Promise<string | undefined> {
    const closed = this.#metrics?.close(
      this.#end?.isCommitted ? "committed" : "abandoned",
      this.#deps.deadlines.report,
    );
    try {
      await this.#servicesStopped;
      await Promise.all([...this.#sandboxes.values()].map((sandbox) => sandbox.close()));
      if (this.#workspace === undefined || (await removeTree(this.#workspace.root))) return undefined;
      for (const sandbox of this.#sandboxes.values()) await sandbox.clearWorkspace();
      if (await removeTree(this.#workspace.root)) return undefined;
      const problem = "files of other users are left in a workspace: remove them as root";
      this.#log.warn({ path: this.#workspace.root }, problem);
      return problem;
    } catch (error) {
      this.#log.error({ err: error }, "an attempt could not be cleaned up; the next start of a worker tries again");
      return messageOf(error);
    } finally {
      await closed;
    }
  }

  /** Services, steps and their logs. Throws when the lease is lost. */
  async #execute(): Promise<{ outcome: AttemptOutcome | undefined; steps: StepResult[] }> {
    const { jobId, task, attempt, slots, resources, env, secrets, registryAuth, images, attemptId, steps } =
      this.#claimed;
    const workspace = await createWorkspace(this.#deps.workerDir, `${task}-${attempt}-${jobId.slice(-26)}`);
    this.#workspace = workspace;
    const context: TaskContext = {
      attemptId,
      jobId,
      task,
      attempt,
      slots,
      resources,
      env,
      secrets,
      registryAuth,
      shippedImages: listShippedImages(steps),
      images,
      workspace,
    };
    this.#live = this.#openLive();
    this.#metrics = this.#deps.metrics.open({ jobId, task, attempt });
    const services = this.#openServices(context);
    this.#services = services;
    try {
      const end = await runSteps({
        steps,
        sandboxFor: (kind) => this.#sandboxFor(kind, context),
        openOutput: (step, name) => this.#openLog({ step, name }, stepLogPrefix(jobId, task, attempt, step)),
        ready: services?.start(),
        killGraceMs: this.#deps.killGraceMs,
        killNow: this.#deps.deadlines.kill,
        stop: this.#stop.signal,
        abandon: this.#lease.lost,
        onStepStarted: (index, running) => {
          this.#hasStarted = true;
          this.#log.debug({ step: index }, "a step started");
          this.#watchUsage({ step: index }, running);
        },
        nowMs: Date.now,
      });
      this.#lease.lost.throwIfAborted();
      return services === undefined ? end : { ...end, outcome: await blameServices(services, end.outcome) };
    } finally {
      this.#stopServices(services);
      // Before the output is packed for good, and before it is removed.
      await this.#live?.close();
    }
  }

  /** Of a task whose time has gone into waiting, what it waited for last. */
  #tellWait(): string {
    if (this.#hasStarted) return "";
    const sandboxWaits = [...this.#sandboxes.values()].map(({ waitsFor }) => waitsFor);
    const wait = [...sandboxWaits, this.#services?.waitsFor].find((what) => what !== undefined);
    return wait === undefined ? "" : `: its first step still waited for ${wait}`;
  }

  #openLive(): LiveArtifacts | undefined {
    const place = this.#outputPlace;
    if (place === undefined) return undefined;
    return new LiveArtifacts({
      ...place,
      attempt: this.#claimed,
      signal: this.#untilDeadline("keep"),
      log: this.#log,
    });
  }

  #openServices(context: TaskContext): ServiceSet | undefined {
    const { jobId, task, attempt, services } = this.#claimed;
    if (Object.keys(services).length === 0) return undefined;
    return new ServiceSet({
      services,
      prepare: async (launch, signal) => {
        const sandbox = this.#sandboxFor("container", context);
        if (sandbox.prepareService === undefined) throw new Error("containers run without services here");
        return sandbox.prepareService(launch, signal);
      },
      openLog: (service, wrap) =>
        this.#openLog({ service, name: service }, serviceLogPrefix(jobId, task, attempt, service), wrap),
      signal: AbortSignal.any([this.#stop.signal, this.#lease.lost]),
      onDied: (reason) => this.interrupt({ kind: "fault", reason }),
      onStarted: (name, running) => this.#watchUsage({ service: name }, running),
      log: this.#log,
    });
  }

  #watchUsage(unit: UnitName, { usage, ended }: RunningStep): void {
    if (usage !== undefined) this.#metrics?.watch(unit, { source: usage, ended });
  }

  /** Off the way of whatever comes next; the logs of the services wait for it. */
  #stopServices(services: ServiceSet | undefined): void {
    if (services === undefined) return;
    const longestMs = this.#drainReason === undefined ? serviceGraceMs : drainedServiceGraceMs;
    const graceMs = Math.min(this.#deps.killGraceMs, longestMs);
    this.#servicesStopped = services.stop(graceMs, this.#untilDeadline("kill"));
  }

  /** What keeps the steps from being run at all, such as a full disk, is told like any other end. */
  #explainBreak(error: unknown): { outcome: AttemptOutcome; steps: StepResult[] } {
    this.#lease.lost.throwIfAborted();
    this.#log.error({ err: error }, "the steps of an attempt could not be run");
    const reason = reasonFor("internal", `the worker could not run the task: ${messageOf(error)}`);
    const steps = this.#claimed.steps.map(({ name }, index) => ({ index: index + 1, name }));
    return { outcome: { state: "failed", reason }, steps };
  }

  #sandboxFor(kind: StepSpec["kind"], context: TaskContext): TaskSandbox {
    const executorKind = kind === "container" ? "docker" : "process";
    const executor = this.#deps.executors.get(executorKind);
    if (executor === undefined) {
      const detail =
        kind === "process"
          ? "this worker runs no processes of its own host: give the step an image, or let workers of this pool run " +
            "them (SLUICE_EXECUTORS=docker,process)"
          : "this worker runs no containers: let workers of this pool run them (SLUICE_EXECUTORS=docker)";
      throw new StepFault(reasonFor("internal", detail));
    }
    const sandbox = this.#sandboxes.get(executorKind) ?? executor.openTask(context);
    this.#sandboxes.set(executorKind, sandbox);
    return sandbox;
  }

  /** `wrap` stands before the log and sees what it will hold: secrets are masked already. */
  #openLog(owner: LogOwner, prefix: string, wrap: (log: StepOutput) => StepOutput = (log) => log) {
    const log = new StepLog({
      owner,
      putChunk: (chunk, content, signal) =>
        this.#deps.objects.put(`${prefix}${chunk}`, content, "application/zstd", signal),
      flushMs: () => this.#deps.logFlushMs[this.#watched ? "watched" : "unwatched"],
      uploadDeadlineMs: this.#deps.uploadDeadlineMs,
      nowMs: Date.now,
      signal: this.#untilDeadline("keep"),
      onFault: (error) => {
        const detail = `the log of ${owner.name} could not be stored: ${error.message}`;
        this.interrupt({ kind: "fault", reason: reasonFor("upload_failed", detail) });
      },
    });
    const kind = "service" in owner ? "service" : "step";
    const maxBytes = this.#deps.maxLogBytes[kind];
    const notice = `sluice: the log of this ${kind} ends here, at its limit of ${maxBytes} bytes; the ${kind} goes on`;
    const limited = new LimitedOutput(log, { maxBytes, notice });
    const wrapped = wrap(limited);
    const output: ClosableOutput = {
      write: (stream, bytes) => wrapped.write(stream, bytes),
      close: () => {
        const { droppedBytes } = limited;
        const closed = log.close().then((summary) => (droppedBytes > 0 ? { ...summary, droppedBytes } : summary));
        // It is awaited before the manifest; until then a failure is not an unhandled one.
        closed.catch(() => undefined);
        this.#logs.push(closed);
      },
    };
    return maskOutput(output, this.secretMatcher);
  }

  #openEnd(): AttemptEnd {
    return new AttemptEnd({
      deps: this.#deps,
      claimed: this.#claimed,
      lease: this.#lease,
      startedAtMs: this.#startedAtMs,
      mask: (text) => this.#mask(text),
      closeLogs: async () => {
        await this.#servicesStopped;
        return Promise.all(this.#logs);
      },
      output: this.#outputPlace,
      takeOutput: this.#findOutputTaker(),
      metrics: this.#metrics,
      log: this.#log,
    });
  }

  /** A worker that is not root may not read all that users of images leave; root reads everything anyway. */
  #findOutputTaker(): (() => Promise<void>) | undefined {
    const [uid, gid] = [process.getuid?.(), process.getgid?.()];
    const sandbox = this.#sandboxes.get("docker");
    if (!uid || gid === undefined || sandbox?.takeOutput === undefined) return undefined;
    return () => sandbox.takeOutput?.({ uid, gid }) ?? Promise.resolve();
  }

  get #outputPlace(): OutputPlace | undefined {
    const { task, artifacts } = this.#claimed;
    const outputDir = this.#workspace?.output;
    if (outputDir === undefined) return undefined;
    const mask = (text: string) => this.#mask(text);
    return { objects: this.#deps.objects, name: `${task}.tar.zst`, outputDir, patterns: artifacts, mask };
  }

  #mask(text: string): string {
    return maskText(this.secretMatcher, text);
  }

  /** Why the task is given back, if it is. */
  get #drainReason(): Reason | undefined {
    const { reason } = this.#stop.signal;
    const interrupt = reason instanceof AttemptInterrupted ? reason.interrupt : undefined;
    return interrupt?.kind === "drained" ? interrupt.reason : undefined;
  }

  #untilDeadline(deadline: keyof AttemptDeps["deadlines"]): AbortSignal {
    return AbortSignal.any([this.#lease.lost, this.#deps.deadlines[deadline]]);
  }
}

function listShippedImages(steps: readonly StepSpec[]): string[] {
  const shipped = steps.flatMap((step) => (step.kind === "container" && step.shipped ? [step.image] : []));
  return [...new Set(shipped)];
}

/** A step that fails because a service has died is not to blame, whichever end was heard of first. */
async function blameServices(
  services: ServiceSet,
  outcome: AttemptOutcome | undefined,
): Promise<AttemptOutcome | undefined> {
  if (outcome?.exitCode === undefined || outcome.exitCode === 0) return outcome;
  const reason = await services.findDead();
  return reason === undefined ? outcome : { state: "failed", reason };
}
