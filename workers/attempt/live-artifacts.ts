import type { LiveWish } from "../../shared/api/worker-schemas.ts";
import { type LiveReport, liveArtifactKeepMs } from "../../shared/domain/live-artifact.ts";
import { liveArtifactKey, liveReportKey } from "../../shared/domain/object-keys.ts";
import type { Logger } from "../../shared/log.ts";
import { type ArtifactOptions, storeArtifact } from "../artifacts/artifact.ts";
import { messageOf } from "../retry.ts";

/** Whose output it is, and what is said of it on the way. */
export interface LiveArtifactOptions extends Omit<ArtifactOptions, "key" | "keepMs"> {
  attempt: { jobId: string; task: string; attempt: number };
  log: Logger;
}

/**
 * Stores what a running attempt has written so far, for whoever asks, one request after the other. What is done is
 * told by an object beside it; about requests that the attempt's end cuts off nothing is said, for its end says it.
 */
export class LiveArtifacts {
  readonly #options: LiveArtifactOptions;
  readonly #seen = new Set<string>();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: LiveArtifactOptions) {
    this.#options = options;
  }

  /** Begins to store it, unless that very wish was heard before. */
  store({ id, forMs }: LiveWish): void {
    if (this.#stop.signal.aborted || this.#seen.has(id)) return;
    this.#seen.add(id);
    const inTime = AbortSignal.timeout(forMs);
    this.#running = this.#running.then(() => this.#storeOne(id, inTime));
  }

  /** Gives up what is under way; resolves when nothing reads the output any more. */
  async close(): Promise<void> {
    this.#stop.abort(new Error("the attempt has ended"));
    await this.#running;
  }

  async #storeOne(id: string, inTime: AbortSignal): Promise<void> {
    const { attempt, objects, log } = this.#options;
    const address = [attempt.jobId, attempt.task, attempt.attempt, id] as const;
    const signal = AbortSignal.any([this.#options.signal, this.#stop.signal]);
    try {
      signal.throwIfAborted();
      const report = await this.#pack(liveArtifactKey(...address), AbortSignal.any([signal, inTime]));
      if (this.#stop.signal.aborted) return;
      await objects.put(liveReportKey(...address), JSON.stringify(report), "application/json", signal);
    } catch (error) {
      // Who asked hears of it when the request's time is over, or of the attempt's end.
      log.warn({ reason: messageOf(error), live: id }, "what a task has written so far was not stored");
    }
  }

  async #pack(key: string, signal: AbortSignal): Promise<LiveReport> {
    const at = new Date().toISOString();
    try {
      signal.throwIfAborted();
      const { artifact } = await storeArtifact({ ...this.#options, key, keepMs: liveArtifactKeepMs, signal });
      return artifact === undefined ? { status: "empty", at } : { status: "stored", at, artifact };
    } catch (error) {
      return { status: "failed", at, detail: this.#options.mask(messageOf(error)) };
    }
  }
}
