import type { AttemptResult } from "../../shared/api/worker-schemas.ts";
import type { AttemptOutcome, LogSummary, StepResult } from "../../shared/domain/manifest.ts";
import { artifactKey, artifactListKey } from "../../shared/domain/object-keys.ts";
import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import type { Logger } from "../../shared/log.ts";
import type { ArtifactOptions } from "../artifacts/artifact.ts";
import type { KeptMetrics } from "../metrics/attempt-metrics.ts";
import type { RecordedAttempt } from "../metrics/metric-recorder.ts";
import { messageOf } from "../retry.ts";
import type { WorkerTask } from "../worker-claim.ts";
import type { AttemptDeps } from "./attempt-deps.ts";
import { commitManifest, type ReportAnswer, reportResult } from "./commit.ts";
import { type KeptArtifact, keepArtifact } from "./keep-artifact.ts";
import type { Lease } from "./lease.ts";
import { joinProblems, type UploadProblem, withUploadProblems } from "./upload-problem.ts";

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

/** Where an attempt's output is, and how it is packed. */
export type OutputPlace = Pick<ArtifactOptions, "objects" | "name" | "outputDir" | "patterns" | "mask">;

export interface AttemptEndOptions {
  deps: Pick<
    AttemptDeps,
    "workerId" | "client" | "objects" | "uploadDeadlineMs" | "onOutcome" | "onWork" | "deadlines"
  >;
  claimed: WorkerTask;
  lease: Lease;
  startedAtMs: number;
  /** Takes the secrets of the task out of a text. */
  mask: (text: string) => string;
  /** Resolves when the logs are whole and stored. */
  closeLogs: () => Promise<LogSummary[]>;
  /** Undefined where the attempt could not even make its folders, and has left nothing. */
  output: OutputPlace | undefined;
  /** Makes the worker's user the owner of the output; absent where it may read everything as it is. */
  takeOutput: (() => Promise<void>) | undefined;
  metrics: RecordedAttempt | undefined;
  log: Logger;
}

type Ended = Extract<AttemptResult["result"], { kind: "ended" }>;

/** An attempt from the end of its steps: what it leaves is stored, committed and reported, or its task is given back. */
export class AttemptEnd {
  readonly #options: AttemptEndOptions;
  #isCommitted = false;

  constructor(options: AttemptEndOptions) {
    this.#options = options;
  }

  /** Whether its manifest stands. */
  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  /** Uploads what the attempt leaves, commits and reports it. Throws when the lease is lost on the way. */
  async finish(outcome: AttemptOutcome, steps: StepResult[]): Promise<MessageFate> {
    const { lease, deps } = this.#options;
    const { logs, artifacts, problems, footprint, metrics } = await this.#keep();
    lease.lost.throwIfAborted();
    const told = this.#maskReason(withUploadProblems(outcome, problems));
    const ended = await this.#commit({ kind: "ended", outcome: told, steps, logs, artifacts, footprint }, metrics);
    deps.onOutcome(ended.outcome);
    return this.#report(ended);
  }

  /**
   * Gives the task back unspent. It may start elsewhere at once: nothing of its steps runs here any more, and what it
   * leaves is kept beside that, under keys of this attempt alone. What that is, is told afterwards.
   */
  async giveBack(reason: Reason, steps: StepResult[], owner: AttemptOwner): Promise<void> {
    // A heartbeat that overtakes the report would hear of a lost lease.
    owner.letGo();
    const keeping = this.#keep();
    const fate = await this.#report({ kind: "released", reason });
    // Unheard or not, another worker may ask for the task now.
    owner.settle(fate.kind === "leave" ? { ...fate, kind: "release", delaySeconds: 0 } : fate);
    const { logs, artifacts, problems, footprint } = await keeping;
    if (fate.unheard) return;
    const lacks = problems.length === 0 ? "" : `; ${this.#options.mask(joinProblems(problems))}`;
    const told = reasonFor(reason.code, `${reason.detail}${lacks}`);
    await this.#tell({ kind: "released", reason: told, steps, logs, artifacts, footprint });
  }

  /** Stores logs, artifact and samples; tells what could not be kept. Samples that are missing are no problem of a task. */
  async #keep(): Promise<Pick<Ended, "logs" | "artifacts"> & KeptMetrics & { problems: UploadProblem[] }> {
    const { closeLogs, deps, mask, metrics } = this.#options;
    const closing = closeLogs().then(
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
    const sampling = metrics?.finish(this.#untilDeadline("keep"));
    const tell = ({ problems }: { problems: UploadProblem[] }) =>
      problems.length === 0 ? undefined : mask(joinProblems(problems));
    deps.onWork("logs", closing.then(tell));
    deps.onWork("artifacts", keeping.then(tell));
    if (sampling !== undefined)
      deps.onWork(
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

  /** What goes wrong with a step often quotes it: a reason is stored and shown, so it is masked like a log. */
  #maskReason(outcome: AttemptOutcome): AttemptOutcome {
    const { reason } = outcome;
    if (reason === undefined) return outcome;
    return { ...outcome, reason: { ...reason, detail: this.#options.mask(reason.detail) } };
  }

  #keepArtifact(): Promise<KeptArtifact> {
    const { claimed, deps, output, takeOutput, log } = this.#options;
    if (output === undefined) return Promise.resolve({ artifacts: [], problems: [] });
    const { jobId, task, attempt } = claimed;
    return keepArtifact({
      ...output,
      key: artifactKey(jobId, task, attempt),
      listKey: artifactListKey(jobId, task, attempt),
      keepMs: claimed.artifacts.retentionMs,
      signal: this.#untilDeadline("keep"),
      deadlineMs: deps.uploadDeadlineMs,
      takeOutput,
      log,
    });
  }

  async #commit(ended: Ended, metrics: KeptMetrics["metrics"]): Promise<Ended> {
    const { claimed, deps, lease, startedAtMs, log } = this.#options;
    const { jobId, task, attempt } = claimed;
    const { kind, ...parts } = ended;
    const manifest = {
      v: 1 as const,
      jobId,
      task,
      attempt,
      workerId: deps.workerId,
      startedAt: new Date(startedAtMs).toISOString(),
      endedAt: new Date().toISOString(),
      ...parts,
      metrics,
    };
    try {
      const options = { signal: this.#untilDeadline("commit"), deadlineMs: deps.uploadDeadlineMs, log };
      const standing = await commitManifest(deps.objects, manifest, options);
      this.#isCommitted = true;
      const { outcome, steps, logs, artifacts, footprint } = standing;
      return { kind, outcome, steps, logs, artifacts, footprint };
    } catch (error) {
      lease.lost.throwIfAborted();
      const detail = `its manifest could not be stored: ${messageOf(error)}`;
      const outcome = withUploadProblems(ended.outcome, [{ detail, fault: "infrastructure" }]);
      return { ...ended, outcome: this.#maskReason(outcome) };
    }
  }

  async #report(result: AttemptResult["result"]): Promise<MessageFate> {
    const { startedAtMs, log } = this.#options;
    const answer = await this.#tell(result);
    const outcome = result.kind === "ended" ? result.outcome.state : "released";
    log.info({ outcome, answer: answer.status, ms: Date.now() - startedAtMs }, "an attempt ended");
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
    const { deps, lease, log } = this.#options;
    const telling = reportResult(deps.client, lease, result, { signal: deps.deadlines.report, log });
    const problem = "a result could not be reported";
    deps.onWork(
      "results",
      telling.then(({ status }) => (status === "unheard" ? problem : undefined)),
    );
    return telling;
  }

  #untilDeadline(deadline: keyof AttemptDeps["deadlines"]): AbortSignal {
    return AbortSignal.any([this.#options.lease.lost, this.#options.deps.deadlines[deadline]]);
  }
}
