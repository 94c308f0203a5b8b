import { reasonFor } from "../../../shared/domain/reason.ts";
import type { Logger } from "../../../shared/log.ts";
import { formatDuration } from "../../attempt/interrupt.ts";
import { StepFault } from "../executor.ts";
import { dockerMessage } from "./docker-client.ts";
import type { Namespace } from "./namespace.ts";

export interface NamespacePoolOptions {
  create: () => Promise<Namespace>;
  remove: (namespace: Namespace) => Promise<void>;
  /** Tells whether what kept one from being made passes by itself, such as a lack of networks: it is waited out. */
  isPassing: (error: unknown) => boolean;
  /** Namespaces kept ready while nobody needs them. */
  ready: number;
  /** Namespaces at most, lent ones included. */
  max: number;
  /** Tasks one namespace serves, one after the other, before it is replaced. */
  maxUses: number;
  log: Logger;
  /** More than `ready` are kept for this long after a burst. */
  surplusMs?: number;
  /** How long a task waits for what passes by itself. */
  patienceMs?: number;
}

/** Making more at once only makes each slower: the daemon makes networks one by one. */
const maxCreating = 2;
const defaultSurplusMs = 20_000;
/** Tasks of other workers end meanwhile, and give their networks back. */
const defaultPatienceMs = 600_000;
const firstFailedDelayMs = 250;
const maxFailedDelayMs = 60_000;
/** The same while tasks wait. */
const maxWaitedDelayMs = 5_000;

interface Waiter {
  resolve: (namespace: Namespace) => void;
  reject: (error: unknown) => void;
}

/**
 * Network namespaces made ahead, because making one takes longer than everything else that starts a container. Each
 * is lent to one task at a time. What is returned is lent again (a bounded number of times) or replaced, off the
 * path of any task.
 */
export class NamespacePool {
  readonly #options: NamespacePoolOptions;
  readonly #stop = new AbortController();
  readonly #idle: Namespace[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #work = new Set<Promise<void>>();
  #keepsReady = true;
  #creating = 0;
  #lent = 0;
  #failures = 0;
  #obstacle: unknown;
  #surplusTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(options: NamespacePoolOptions) {
    this.#options = options;
  }

  /** Starts to make what should be ready. */
  fill(): void {
    if (this.#stop.signal.aborted) return;
    const ready = this.#keepsReady ? this.#options.ready : 0;
    const missing = this.#waiters.length + ready - this.#idle.length;
    // With nobody waiting one at a time is enough: the rest of the machine belongs to the tasks.
    const limit = this.#waiters.length > 0 ? maxCreating : 1;
    const room = this.#options.max - this.#lent - this.#idle.length;
    while (this.#creating < Math.min(missing, limit, room)) {
      this.#creating++;
      this.#track(this.#createOne());
    }
  }

  /**
   * Lends a namespace, a ready one at once; throws what keeps Docker from making one (a `StepFault` where that should
   * have passed), or the signal's reason.
   */
  async acquire(signal: AbortSignal): Promise<Namespace> {
    const patienceMs = this.#options.patienceMs ?? defaultPatienceMs;
    const impatience = new AbortController();
    const timer = setTimeout(() => impatience.abort(this.#explainWait(patienceMs)), patienceMs);
    try {
      return await this.#takeOrWait(AbortSignal.any([signal, impatience.signal]));
    } finally {
      clearTimeout(timer);
    }
  }

  async #takeOrWait(signal: AbortSignal): Promise<Namespace> {
    signal.throwIfAborted();
    const ready = this.#idle.pop();
    if (ready !== undefined) {
      this.#lend(ready);
      this.fill();
      return ready;
    }
    const { promise, resolve, reject } = Promise.withResolvers<Namespace>();
    const waiter = { resolve, reject };
    this.#waiters.push(waiter);
    const giveUp = () => {
      const index = this.#waiters.indexOf(waiter);
      if (index >= 0) this.#waiters.splice(index, 1);
      reject(signal.reason);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    this.fill();
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  /** Takes a namespace back that nothing of its task is in any more; a dirty one is not lent again. */
  release(namespace: Namespace, condition: "clean" | "dirty"): void {
    this.#lent--;
    const worn = condition === "dirty" || namespace.uses >= this.#options.maxUses;
    if (worn || this.#stop.signal.aborted) this.#track(this.#options.remove(namespace));
    else this.#offer(namespace);
    this.fill();
  }

  /**
   * Takes a namespace back that was lost while it was lent. Those that are ready are replaced too: what took one away
   * (a restarted daemon, somebody cleaning up) did not stop there.
   */
  discardLost(namespace: Namespace): void {
    this.discardIdle();
    this.release(namespace, "dirty");
  }

  /** Replaces those that are ready: a daemon that came back has ended their containers. */
  discardIdle(): void {
    for (const suspect of this.#idle.splice(0)) this.#track(this.#options.remove(suspect));
    this.#failures = 0;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.fill();
  }

  /** Keeps none ready until `keepReady`: those that are go, and who needs one yet waits until it is made. */
  keepNoneReady(): void {
    this.#keepsReady = false;
    for (const namespace of this.#idle.splice(0)) this.#track(this.#options.remove(namespace));
  }

  /** Keeps some ready again. */
  keepReady(): void {
    this.#keepsReady = true;
    this.fill();
  }

  /** Removes everything; resolves when it is gone. */
  async close(): Promise<void> {
    this.#stop.abort(new Error("the worker is stopping"));
    clearTimeout(this.#surplusTimer);
    clearTimeout(this.#retryTimer);
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#stop.signal.reason);
    for (const namespace of this.#idle.splice(0)) this.#track(this.#options.remove(namespace));
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  #lend(namespace: Namespace): void {
    namespace.uses++;
    this.#lent++;
  }

  #offer(namespace: Namespace): void {
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.#lend(namespace);
      waiter.resolve(namespace);
      return;
    }
    if (!this.#keepsReady) {
      this.#track(this.#options.remove(namespace));
      return;
    }
    this.#idle.push(namespace);
    if (this.#idle.length > this.#options.ready) this.#removeSurplusLater();
  }

  #removeSurplusLater(): void {
    this.#surplusTimer ??= setTimeout(() => {
      this.#surplusTimer = undefined;
      for (const namespace of this.#idle.splice(this.#options.ready)) this.#track(this.#options.remove(namespace));
    }, this.#options.surplusMs ?? defaultSurplusMs).unref();
  }

  async #createOne(): Promise<void> {
    try {
      const namespace = await this.#options.create();
      this.#creating--;
      if (this.#stop.signal.aborted) await this.#options.remove(namespace);
      else this.#offer(namespace);
    } catch (error) {
      this.#creating--;
      if (this.#stop.signal.aborted) return;
      this.#options.log.warn({ reason: dockerMessage(error) }, "a network namespace could not be made");
      this.#obstacle = error;
      // Who waits for what will not pass is told why; what should only be ready is tried again later.
      if (!this.#options.isPassing(error)) for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
      this.#failures++;
      this.#fillLater();
      return;
    }
    this.#failures = 0;
    this.#obstacle = undefined;
    this.fill();
  }

  #explainWait(waitedMs: number): StepFault {
    const why =
      this.#obstacle === undefined
        ? "all that this worker may have are in use"
        : `Docker says "${dockerMessage(this.#obstacle)}"; remove networks that nobody uses (docker network prune), or ` +
          "give the daemon more address ranges (default-address-pools)";
    const detail = `no network became free for the task within ${formatDuration(waitedMs)}: ${why}`;
    return new StepFault(reasonFor("internal", detail));
  }

  #fillLater(): void {
    const maxDelayMs = this.#waiters.length > 0 ? maxWaitedDelayMs : maxFailedDelayMs;
    const delayMs = Math.min(maxDelayMs, firstFailedDelayMs * 2 ** this.#failures);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.fill();
    }, delayMs).unref();
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#options.log.error({ err: error }, "a network namespace could not be removed"))
      .finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }
}
