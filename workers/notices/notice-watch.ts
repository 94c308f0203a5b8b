import type { Logger } from "../../shared/log.ts";
import type { Provider } from "../config.ts";
import type { DrainCause } from "../drain-cause.ts";
import { sleep } from "../retry.ts";
import { createEc2Sources } from "./ec2-notices.ts";
import { createFileSource } from "./file-notice.ts";
import { type Notice, type NoticeSource, planForNotices } from "./notice.ts";
import type { NoticeConfig } from "./notice-config.ts";
import { createOpenStackSource } from "./openstack-notices.ts";

/** Where notices for a worker of a provider are left; none where nobody would leave one. */
export function openNoticeSources(provider: Provider, config: NoticeConfig, nowMs: () => number): NoticeSource[] {
  const { endpoint, file } = config;
  return [
    ...(provider === "ec2" && endpoint !== undefined ? createEc2Sources(endpoint, nowMs) : []),
    ...(provider === "openstack" && endpoint !== undefined ? [createOpenStackSource(endpoint)] : []),
    ...(file === undefined ? [] : [createFileSource(file, nowMs)]),
  ];
}

export interface NoticeWatchOptions {
  sources: readonly NoticeSource[];
  config: NoticeConfig;
  /** Wall-clock time in milliseconds since the epoch. */
  nowMs: () => number;
  log: Logger;
  /** Whether the worker has no task. */
  isIdle: () => boolean;
  /** No more tasks are to be taken. Told once; `onGoOn` takes it back. */
  onFinish: () => void;
  onGoOn: () => void;
  /** Told again and again, for a drain that is under way for another cause may be taken back. */
  onDrain: (cause: DrainCause) => void;
}

const readDeadlineMs = 2_000;
/** A place that says nothing, or answers only now and then, is worth a line of the log so often. */
const tellAgainMs = 3_600_000;

/** Asks every few seconds whether this machine goes away, and tells the worker in time. */
export class NoticeWatch {
  readonly #options: NoticeWatchOptions;
  readonly #stop = new AbortController();
  readonly #notices = new Map<NoticeSource, readonly Notice[]>();
  readonly #toldMs = new Map<NoticeSource, number>();
  #isFinishing = false;

  constructor(options: NoticeWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { sources, log } = this.#options;
    // Each by itself: a file on a disk that hangs must not keep a spot notice from being heard.
    for (const source of sources) {
      this.#watch(source).catch((error: unknown) =>
        log.error({ err: error, source: source.name }, "nobody looks for notices here any more"),
      );
    }
  }

  stop(): void {
    this.#stop.abort(new Error("the worker is stopping"));
  }

  async #watch(source: NoticeSource): Promise<void> {
    const { config } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#read(source);
      if (!signal.aborted) this.#act();
      await sleep(config.pollMs, signal);
    }
  }

  async #read(source: NoticeSource): Promise<void> {
    const { log, nowMs } = this.#options;
    const reading = await source.read(readDeadlineMs);
    if (reading.kind === "told") {
      this.#notices.set(source, reading.notices);
      return;
    }
    const toldMs = this.#toldMs.get(source) ?? Number.NEGATIVE_INFINITY;
    if (Math.abs(nowMs() - toldMs) < tellAgainMs) return;
    this.#toldMs.set(source, nowMs());
    log.info({ source: source.name, why: reading.why }, "no notices can be read here; it is tried again and again");
  }

  #act(): void {
    const { config, nowMs, log, isIdle, onFinish, onGoOn, onDrain } = this.#options;
    const plan = planForNotices([...this.#notices.values()].flat(), config, nowMs());
    switch (plan.kind) {
      case "drain":
        onDrain(plan.cause);
        return;
      case "finish":
        if (!this.#isFinishing) {
          log.warn({ detail: plan.detail }, "no more tasks are taken: the machine may go");
          this.#isFinishing = true;
          onFinish();
        } else if (isIdle()) {
          onDrain({ kind: "interrupted", detail: plan.detail, endsAtMs: plan.endsAtMs });
        }
        return;
      case "go_on":
        if (!this.#isFinishing) return;
        log.info("the notice was taken back: tasks are taken again");
        this.#isFinishing = false;
        onGoOn();
    }
  }
}
