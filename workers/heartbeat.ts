import type { Heartbeat, HeartbeatAnswer, LiveWish } from "../shared/api/worker-schemas.ts";
import type { Logger } from "../shared/log.ts";
import type { Lease } from "./attempt/lease.ts";
import { ControlPlaneError } from "./control-plane-call.ts";
import type { ControlPlaneClient } from "./control-plane-client.ts";
import { messageOf } from "./retry.ts";

export type Cancel = NonNullable<HeartbeatAnswer["attempts"][number]["cancel"]>;

export interface HeartbeatOptions {
  workerId: string;
  client: ControlPlaneClient;
  heartbeatMs: number;
  /** From one beat to the next, asked for after each. */
  intervalMs: () => number;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
  log: Logger;
  state: () => Heartbeat["state"];
  slotsFree: () => number;
  /** What else a beat tells. */
  describe: () => Partial<Heartbeat>;
  /** What is renewed in the same rhythm without the control plane. */
  alongside: () => Promise<void>;
  onCancel: (attemptId: string, cancel: Cancel) => void;
  /** Whether somebody watches the logs of an attempt. */
  onWatched: (attemptId: string, watched: boolean) => void;
  /** Told again with every beat until the wish's time is over. */
  onLive: (attemptId: string, live: LiveWish) => void;
  /** Whether the worker is to drain, as the latest heartbeat that was answered heard it. */
  onDrain: (isWanted: boolean) => void;
  /** Workers of an older version than this are to make room. */
  onRequiredVersion: (version: string) => void;
  /** The control plane does not know this worker (any more). */
  onUnknown: () => void;
}

/** One beat a rhythm renews everything this worker holds, and brings what it is told to do. */
export class HeartbeatLoop {
  readonly #options: HeartbeatOptions;
  readonly #leases = new Map<string, Lease>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #failures = 0;
  #number = 0;
  #heardAtMs = 0;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Beats at once, and from now on in its rhythm; also where that has changed, and again after a stop. */
  start(): void {
    this.stop();
    this.#stopped = false;
    void this.beat();
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  add(lease: Lease): void {
    this.#leases.set(lease.attemptId, lease);
  }

  remove(lease: Lease): void {
    this.#leases.delete(lease.attemptId);
    lease.end();
  }

  /**
   * Sends one heartbeat now, which may tell more than others; undefined where it was not answered. That is no fault: the
   * next one follows, and leases end by themselves.
   */
  async beat(
    deadlineMs = this.#options.heartbeatMs,
    last: Pick<Heartbeat, "mayStay"> = {},
  ): Promise<HeartbeatAnswer | undefined> {
    const { client, workerId, nowMs, log, state, slotsFree, describe } = this.#options;
    const held = [...this.#leases.values()];
    const attempts = held.map(({ attemptId, leaseToken }) => ({ attemptId, leaseToken }));
    const sentAtMs = nowMs();
    try {
      const more = { ...describe(), ...last, number: ++this.#number };
      const heartbeat = { ...more, state: state(), slotsFree: slotsFree(), attempts };
      const answer = await client.beat(workerId, heartbeat, { deadlineMs });
      if (this.#failures > 0) log.info({ failures: this.#failures }, "the control plane answers heartbeats again");
      this.#failures = 0;
      this.#read(answer, sentAtMs);
      return answer;
    } catch (error) {
      this.#failures++;
      log.warn({ reason: messageOf(error), failures: this.#failures }, "a heartbeat was not answered");
      if (error instanceof ControlPlaneError && error.status === 404) this.#options.onUnknown();
      return undefined;
    }
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      // The next beat does not wait for this one: a slow answer must not cost a renewal.
      void this.beat();
      void this.#options.alongside();
      this.#schedule();
    }, this.#options.intervalMs());
  }

  #read(answer: HeartbeatAnswer, sentAtMs: number): void {
    for (const told of answer.attempts) {
      const lease = this.#leases.get(told.attemptId);
      if (lease === undefined) continue;
      if (told.lease === "lost") lease.lose("the control plane gave the task to somebody else or ended it");
      else lease.renew(sentAtMs);
      this.#options.onWatched(told.attemptId, told.watched);
      if (told.live !== undefined && told.lease === "renewed") this.#options.onLive(told.attemptId, told.live);
      if (told.cancel !== undefined && told.lease === "renewed") this.#options.onCancel(told.attemptId, told.cancel);
    }
    // An answer that was overtaken tells what was wanted before.
    if (sentAtMs < this.#heardAtMs) return;
    this.#heardAtMs = sentAtMs;
    this.#options.onDrain(answer.drain);
    if (answer.requiredVersion !== undefined) this.#options.onRequiredVersion(answer.requiredVersion);
  }
}
