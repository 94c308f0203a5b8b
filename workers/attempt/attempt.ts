import type { AttemptResult, LiveWish } from "../../shared/api/worker-schemas.ts";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import type { AttemptOutcome, LogSummary, StepResult } from "../../shared/domain/manifest.ts";
import { artifactKey, artifactListKey, serviceLogPrefix, stepLogPrefix } from "../../shared/domain/object-keys.ts";
import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import type { StepSpec } from "../../shared/jobfile/job-spec.ts";
import type { Logger } from "../../shared/log.ts";
import type { ExecutorKind } from "../config.ts";
import type { ControlPlaneClient } from "../control-plane-client.ts";
import {
  type Executor,
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
import type { KeptMetrics, UnitName } from "../metrics/attempt-metrics.ts";
import type { MetricRecorder, RecordedAttempt } from "../metrics/metric-recorder.ts";
import { messageOf } from "../retry.ts";
import { ServiceSet } from "../services/service-set.ts";
import type { WorkerTask } from "../worker-claim.ts";
import { createWorkspace, removeTree, type Workspace } from "../workspace.ts";
import { commitManifest, type ReportAnswer, reportResult } from "./commit.ts";
import { AttemptInterrupted, formatDuration, type Interrupt } from "./interrupt.ts";
import { type KeptArtifact, keepArtifact } from "./keep-artifact.ts";
import type { Lease } from "./lease.ts";
import { LiveArtifacts } from "./live-artifacts.ts";
import { runSteps } from "./steps.ts";
import { joinProblems, type UploadProblem, withUploadProblems } from "./upload-problem.ts";

/** What attempts need of their worker. Times in milliseconds. */
export interface AttemptDeps {
  workerId: string;
  workerDir: string;
  executors: ReadonlyMap<ExecutorKind, Executor>;
  client: ControlPlaneClient;
  objects: ObjectStore;
  metrics: Pick<MetricRecorder, "open">;
  /** From SIGTERM to SIGKILL. */
  killGraceMs: number;
  /** How long lines of a log may wait: while somebody watches, and else. */
  logFlushMs: { watched: number; unwatched: number };
  /** Bytes of text that are kept of one log; what is printed beyond them is dropped. */
  maxLogBytes: { step: number; service: number };
  /** Uploads and the manifest are tried for this long. */
  uploadDeadlineMs: number;
  /** How the attempt ended, before it is reported. */
  onOutcome: (outcome: AttemptOutcome) => void;
  /** Aborted when a drain has no more time: for steps to end by themselves, for logs and output, manifests, reports. */
  deadlines: Record<"kill" | "keep" | "commit" | "report", AbortSignal>;
  /** Told of work after the steps, which a drain waits for; each tells what is wrong with what it did. */
  onWork: (phase: "logs" | "artifacts" | "samples" | "results", work: Promise<string | undefined>) => void;
  log: Logger;
}

/** What an attempt tells its worker while it ends. */
export interface AttemptOwner {
  /** Its lease is not to be renewed any more: its task is being given back. */
  letGo(): void;
  /** Told once. What the attempt leaves may still be on its way. */
  settle(fate: MessageFate): void;
}

/**
 * What the worker does with the message of an attempt that is over. `unheard`: the control plane was not told, and takes
 * the attempt for one that runs.
 */
export type MessageFate = ({ kind: "delete" } | { kind: "release"; delaySeconds: number } | { kind: "leave" }) & {
  unheard?: true;
};

type Ended = Extract<AttemptResult["result"], { kind: "ended" }>;

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
  #isCommitted = false;

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
      if (end.outcome === undefined) await this.#giveBack(end.steps, owner);
      else owner.settle(await this.#finish(end.outcome, end.steps));
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
    const closed = this.#metrics?.close(this.#isCommitted ? "committed" : "abandoned", this.#deps.deadlines.report);
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
    const options = this.#artifactOptions();
    if (options === undefined) return undefined;
    return new LiveArtifacts({
      ...options,
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

  /** Uploads what the attempt leaves, commits and reports it. Throws when the lease is lost on the way. */
  async #finish(outcome: AttemptOutcome, steps: StepResult[]): Promise<MessageFate> {
    const { logs, artifacts, problems, footprint, metrics } = await this.#keep();
    this.#lease.lost.throwIfAborted();
    const told = this.#maskReason(withUploadProblems(outcome, problems));
    const ended = await this.#commit({ kind: "ended", outcome: told, steps, logs, artifacts, footprint }, metrics);
    this.#deps.onOutcome(ended.outcome);
    return this.#report(ended);
  }

  /** Stores logs, artifact and samples; tells what could not be kept. Samples that are missing are no problem of a task. */
  async #keep(): Promise<Pick<Ended, "logs" | "artifacts"> & KeptMetrics & { problems: UploadProblem[] }> {
    const closing = this.#closeLogs().then(
      (logs) => ({ logs, problems: [] }),
      (error: unknown) => {
        const problem = {
          detail: `its log could not be stored: ${messageOf(error)}`,
          fault: "infrastructure" as const,
        };
        return { logs: [], problems: [problem] };
      },
    );
    const keeping = this.#keepArtifact();
    const sampling = this.#metrics?.finish(this.#untilDeadline("keep"));
    const tell = ({ problems }: { problems: UploadProblem[] }) =>
      problems.length === 0 ? undefined : this.#mask(joinProblems(problems));
    this.#deps.onWork("logs", closing.then(tell));
    this.#deps.onWork("artifacts", keeping.then(tell));
    if (sampling !== undefined)
      this.#deps.onWork(
        "samples",
        sampling.then(({ problem }) => problem),
      );
    const [{ logs, problems }, kept, sampled] = await Promise.all([closing, keeping, sampling]);
    return {
      footprint: sampled?.footprint,
      metrics: sampled?.metrics,
      logs,
      artifacts: kept.artifacts,
      problems: [...problems, ...kept.problems],
    };
  }

  async #closeLogs(): Promise<LogSummary[]> {
    await this.#servicesStopped;
    return Promise.all(this.#logs);
  }

  /** What goes wrong with a step often quotes it: a reason is stored and shown, so it is masked like a log. */
  #maskReason(outcome: AttemptOutcome): AttemptOutcome {
    const { reason } = outcome;
    if (reason === undefined) return outcome;
    return { ...outcome, reason: { ...reason, detail: this.#mask(reason.detail) } };
  }

  #keepArtifact(): Promise<KeptArtifact> {
    const { jobId, task, attempt } = this.#claimed;
    const options = this.#artifactOptions();
    // An attempt that could not even make its folders has left nothing.
    if (options === undefined) return Promise.resolve({ artifacts: [], problems: [] });
    return keepArtifact({
      ...options,
      key: artifactKey(jobId, task, attempt),
      listKey: artifactListKey(jobId, task, attempt),
      keepMs: this.#claimed.artifacts.retentionMs,
      signal: this.#untilDeadline("keep"),
      deadlineMs: this.#deps.uploadDeadlineMs,
      takeOutput: this.#findOutputTaker(),
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

  #artifactOptions() {
    const { task, artifacts } = this.#claimed;
    const outputDir = this.#workspace?.output;
    if (outputDir === undefined) return undefined;
    const mask = (text: string) => this.#mask(text);
    return { objects: this.#deps.objects, name: `${task}.tar.zst`, outputDir, patterns: artifacts, mask };
  }

  async #commit(ended: Ended, metrics: KeptMetrics["metrics"]): Promise<Ended> {
    const { jobId, task, attempt } = this.#claimed;
    const { kind, ...parts } = ended;
    const manifest = {
      v: 1 as const,
      jobId,
      task,
      attempt,
      workerId: this.#deps.workerId,
      startedAt: new Date(this.#startedAtMs).toISOString(),
      endedAt: new Date().toISOString(),
      ...parts,
      metrics,
    };
    try {
      const options = {
        signal: this.#untilDeadline("commit"),
        deadlineMs: this.#deps.uploadDeadlineMs,
        log: this.#log,
      };
      const standing = await commitManifest(this.#deps.objects, manifest, options);
      this.#isCommitted = true;
      const { outcome, steps, logs, artifacts, footprint } = standing;
      return { kind, outcome, steps, logs, artifacts, footprint };
    } catch (error) {
      this.#lease.lost.throwIfAborted();
      const detail = `its manifest could not be stored: ${messageOf(error)}`;
      const outcome = withUploadProblems(ended.outcome, [{ detail, fault: "infrastructure" }]);
      return { ...ended, outcome: this.#maskReason(outcome) };
    }
  }

  /**
   * Gives the task back unspent. It may start elsewhere at once: nothing of its steps runs here any more, and what it
   * leaves is kept beside that, under keys of this attempt alone. What that is, is told afterwards.
   */
  async #giveBack(steps: StepResult[], owner: AttemptOwner): Promise<void> {
    const reason = this.#drainReason ?? reasonFor("drained", "the worker is being stopped");
    // A heartbeat that overtakes the report would hear of a lost lease.
    owner.letGo();
    const keeping = this.#keep();
    const fate = await this.#report({ kind: "released", reason });
    // Unheard or not, another worker may ask for the task now.
    owner.settle(fate.kind === "leave" ? { ...fate, kind: "release", delaySeconds: 0 } : fate);
    const { logs, artifacts, problems, footprint } = await keeping;
    if (fate.unheard) return;
    const lacks = problems.length === 0 ? "" : `; ${this.#mask(joinProblems(problems))}`;
    const told = reasonFor(reason.code, `${reason.detail}${lacks}`);
    await this.#tell({ kind: "released", reason: told, steps, logs, artifacts, footprint });
  }

  async #report(result: AttemptResult["result"]): Promise<MessageFate> {
    const answer = await this.#tell(result);
    const outcome = result.kind === "ended" ? result.outcome.state : "released";
    this.#log.info({ outcome, answer: answer.status, ms: Date.now() - this.#startedAtMs }, "an attempt ended");
    switch (answer.status) {
      case "accepted":
        return { kind: "delete" };
      case "retry":
        return { kind: "release", delaySeconds: answer.retryAfterSeconds };
      case "lost":
        return { kind: "leave" };
      case "unheard":
        return { kind: "leave", unheard: true };
    }
  }

  #tell(result: AttemptResult["result"]): Promise<ReportAnswer> {
    const signal = this.#deps.deadlines.report;
    const telling = reportResult(this.#deps.client, this.#lease, result, { signal, log: this.#log });
    const problem = "a result could not be reported";
    this.#deps.onWork(
      "results",
      telling.then(({ status }) => (status === "unheard" ? problem : undefined)),
    );
    return telling;
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
