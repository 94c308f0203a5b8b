import type { ObjectStore } from "../../shared/clients/object-store.ts";
import type { HostUsage } from "../../shared/domain/metric-sample.ts";
import type { Logger } from "../../shared/log.ts";
import { messageOf, settlesWithin } from "../retry.ts";
import { adoptSpools } from "./adopt-spools.ts";
import { AttemptMetrics, type KeptMetrics } from "./attempt-metrics.ts";
import type { HostSampler } from "./host-sample.ts";
import { Spool } from "./spool.ts";
import { setSpoolsAside, spoolPath } from "./spool-files.ts";
import type { SpoolOwner } from "./spool-format.ts";

/** How often it is looked which attempts are due. */
const tickMs = 1_000;
/** What is not put by then is tried again with the next snapshot. */
const putDeadlineMs = 60_000;
/** An attempt's end does not wait longer for its samples: they are worth less than its result. */
const lastPutDeadlineMs = 10_000;

export interface MetricRecorderOptions {
  /** The folder that holds those of the workers of this machine, and the one of this worker in it. */
  workDir: string;
  workerDir: string;
  workerId: string;
  objects: Pick<ObjectStore, "putIfAbsent">;
  host: HostSampler;
  intervalMs: number;
  log: Logger;
}

/** What an attempt asks of the recorder that takes its samples. */
export interface RecordedAttempt extends Pick<AttemptMetrics, "watch"> {
  /** Ends the sampling and puts what is not put yet; the answer is for the manifest. Never throws. */
  finish(signal: AbortSignal): Promise<KeptMetrics>;
  /** After the manifest was written, or where it will not be. Never throws. */
  close(end: "committed" | "abandoned", signal: AbortSignal): Promise<void>;
}

/** Takes the samples of all attempts of a worker, in one rhythm. */
export class MetricRecorder {
  readonly #options: MetricRecorderOptions;
  readonly #attempts = new Set<AttemptMetrics>();
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #host: { usage: HostUsage; atMs: number } | undefined;
  #askingHost = false;

  constructor(options: MetricRecorderOptions) {
    this.#options = options;
  }

  /** Begins to take the samples of an attempt. */
  open(attempt: Omit<SpoolOwner, "workerId">): RecordedAttempt {
    const { workerDir, workerId, objects, intervalMs } = this.#options;
    const log = this.#options.log.child({ jobId: attempt.jobId, task: attempt.task, attempt: attempt.attempt });
    const owner = { jobId: attempt.jobId, task: attempt.task, attempt: attempt.attempt, workerId };
    const spool = new Spool(spoolPath(workerDir, owner), owner, (error) =>
      log.warn({ reason: messageOf(error) }, "samples are not spooled: a worker that is killed takes them along"),
    );
    const nowMs = () => performance.now();
    const metrics = new AttemptMetrics({ owner, spool, objects, intervalMs, nowMs, wallMs: Date.now, log });
    this.#attempts.add(metrics);
    this.#timer ??= setInterval(() => this.#tick(), tickMs).unref();
    const lastPut = (signal: AbortSignal) => ({
      deadlineMs: lastPutDeadlineMs,
      signal: AbortSignal.any([signal, this.#stop.signal, AbortSignal.timeout(lastPutDeadlineMs)]),
    });
    return {
      watch: (unit, watched) => metrics.watch(unit, watched),
      finish: (signal) => metrics.finish(lastPut(signal)),
      close: async (end, signal) => {
        await (end === "committed" ? metrics.forget() : metrics.abandon(lastPut(signal)));
        this.#remove(metrics);
      },
    };
  }

  /** Stores the samples of workers of this machine that are gone. Never throws. */
  adoptSpools(): Promise<void> {
    const { workDir, objects, log } = this.#options;
    return adoptSpools(workDir, objects, { signal: this.#stop.signal, log });
  }

  /**
   * Puts what is not put yet, of all attempts at once; what that leaves at the deadline is set aside for the next worker
   * of this machine. Never throws.
   */
  async close(deadlineMs: number): Promise<void> {
    clearInterval(this.#timer);
    const { workDir, workerDir, log } = this.#options;
    const options = { deadlineMs, signal: this.#stop.signal };
    const putting = Promise.all([...this.#attempts].map((metrics) => metrics.abandon(options)));
    if (!(await settlesWithin(putting, deadlineMs))) log.warn("samples are left for the next worker of this machine");
    this.#stop.abort(new Error("the worker is stopping"));
    await setSpoolsAside(workDir, workerDir).catch((error: unknown) =>
      log.warn({ reason: messageOf(error) }, "samples that were not stored are lost"),
    );
  }

  #remove(metrics: AttemptMetrics): void {
    this.#attempts.delete(metrics);
    if (this.#attempts.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    // Until the next attempt it is of another time.
    this.#host = undefined;
  }

  #tick(): void {
    void this.#askHost();
    const options = { deadlineMs: putDeadlineMs, signal: this.#stop.signal };
    for (const metrics of this.#attempts) {
      metrics
        .sampleIfDue(this.#host?.usage)
        .then(() => metrics.putIfDue(options))
        .catch((error: unknown) => this.#options.log.error({ err: error }, "an attempt could not be sampled"));
    }
  }

  /** A disk that does not answer must not keep samples from being taken. */
  async #askHost(): Promise<void> {
    const { host, intervalMs, log } = this.#options;
    if (this.#askingHost || performance.now() - (this.#host?.atMs ?? Number.NEGATIVE_INFINITY) < intervalMs) return;
    this.#askingHost = true;
    try {
      const { cpu, memoryBytes, diskBytes } = await host.sample();
      const usage = {
        cpu: Math.round(cpu * 10_000) / 100,
        memory: memoryBytes.used,
        memoryTotal: memoryBytes.total,
        diskFree: diskBytes.free,
        diskTotal: diskBytes.total,
      };
      this.#host = { usage, atMs: performance.now() };
    } catch (error) {
      this.#host = undefined;
      log.debug({ reason: messageOf(error) }, "the machine could not be sampled");
    } finally {
      this.#askingHost = false;
    }
  }
}
