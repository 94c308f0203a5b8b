import type { AttemptOutcome } from "../shared/domain/manifest.ts";
import type { Reason } from "../shared/domain/reason.ts";
import { Attempt } from "./attempt/attempt.ts";
import type { AttemptDeps } from "./attempt/attempt-deps.ts";
import type { MessageFate } from "./attempt/attempt-end.ts";
import { Lease } from "./attempt/lease.ts";
import type { DrainClock } from "./drain-clock.ts";
import type { DrainPhases } from "./drain-phases.ts";
import type { HeartbeatLoop } from "./heartbeat.ts";
import type { HeldMessages } from "./intake/held-messages.ts";
import type { IntakeItem } from "./intake/intake.ts";
import type { MaskedDestination } from "./masking/masked-destination.ts";
import type { WorkerTask } from "./worker-claim.ts";

export interface RunningAttemptsOptions {
  attempt: Omit<AttemptDeps, "onWork" | "onOutcome" | "deadlines">;
  clock: DrainClock;
  held: HeldMessages;
  heartbeats: Pick<HeartbeatLoop, "add" | "remove">;
  leaseMs: number;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
  maskedLog: Pick<MaskedDestination, "add">;
  /** How an attempt ended, before it is reported. */
  onOutcome: (claimed: WorkerTask, claimedAtMs: number, outcome: AttemptOutcome) => void;
  /** An attempt is over, and its slots are free. */
  onEnded: (item: IntakeItem) => void;
}

interface RunningAttempt {
  attempt: Attempt;
  over: Promise<void>;
  isSettled: boolean;
}

type Phase = Parameters<AttemptDeps["onWork"]>[0];
const deadlineOf = { logs: "keep", artifacts: "keep", samples: "keep", results: "report" } as const;

/** The attempts that a worker runs, from their claims until nothing of them is left. */
export class RunningAttempts {
  readonly #options: RunningAttemptsOptions;
  readonly #attempts = new Map<string, RunningAttempt>();
  readonly #cleanups = new Set<Promise<string | undefined>>();
  readonly #work = new Set<{ phase: Phase; work: Promise<string | undefined> }>();
  /** Attempts that have ended, and nobody could be told: until when the control plane may take them for running ones. */
  readonly #unheardUntilMs = new Map<string, number>();
  #phases: DrainPhases | undefined;

  constructor(options: RunningAttemptsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#attempts.size;
  }

  /** The ids of attempts that the control plane takes for running ones: neither ended nor given back. */
  listOpen(): string[] {
    const open = [...this.#attempts].flatMap(([attemptId, { isSettled }]) => (isSettled ? [] : [attemptId]));
    const nowMs = this.#options.nowMs();
    const unheard = [...this.#unheardUntilMs].flatMap(([attemptId, untilMs]) => (untilMs > nowMs ? [attemptId] : []));
    return [...open, ...unheard];
  }

  get(attemptId: string): Attempt | undefined {
    return this.#attempts.get(attemptId)?.attempt;
  }

  /** Runs a claimed task; `claimedAtMs` is when the claim was sent. With a reason it is given back before its first step. */
  start(claimed: WorkerTask, item: IntakeItem, claimedAtMs: number, giveBack?: Reason): void {
    const { attemptId, leaseToken } = claimed;
    const { clock, heartbeats, leaseMs, nowMs, maskedLog, onOutcome, onEnded } = this.#options;
    const lease = new Lease({ attemptId, leaseToken, leaseMs, grantedAtMs: claimedAtMs, nowMs });
    heartbeats.add(lease);
    const deadlines = {
      kill: clock.signal("kill"),
      keep: clock.signal("keep"),
      commit: clock.signal("commit"),
      report: clock.signal("report"),
    };
    const onWork: AttemptDeps["onWork"] = (phase, work) => this.#noteWork(phase, work);
    const deps: AttemptDeps = {
      ...this.#options.attempt,
      deadlines,
      onWork,
      onOutcome: (outcome) => onOutcome(claimed, claimedAtMs, outcome),
    };
    const attempt = new Attempt(deps, claimed, lease);
    const stopMasking = maskedLog.add(attempt.secretMatcher);
    if (giveBack !== undefined) attempt.interrupt({ kind: "drained", reason: giveBack });
    const running: RunningAttempt = { attempt, over: Promise.resolve(), isSettled: false };
    const letGo = () => heartbeats.remove(lease);
    const settle = (fate: MessageFate) => {
      running.isSettled = true;
      if (fate.unheard) this.#unheardUntilMs.set(attemptId, nowMs() + leaseMs);
      this.#settleMessage(item, fate);
      letGo();
    };
    this.#attempts.set(attemptId, running);
    running.over = attempt.run({ letGo, settle }).then(() => {
      this.#attempts.delete(attemptId);
      // The slot is free before the clean-up: what it held is no longer running.
      onEnded(item);
      const cleanup = attempt.cleanUp().finally(() => {
        stopMasking();
        this.#cleanups.delete(cleanup);
      });
      this.#cleanups.add(cleanup);
    });
  }

  /** From now on what attempts do after their steps, and have begun to do, is part of these phases. */
  tellPhases(phases: DrainPhases | undefined): void {
    this.#phases = phases;
    for (const { phase, work } of this.#work) this.#watch(phase, work);
  }

  /** Ends all attempts and gives their tasks back. */
  giveBack(reason: Reason): void {
    for (const { attempt } of this.#attempts.values()) {
      attempt.interrupt({ kind: "drained", reason });
      this.#phases?.watch("steps", this.#options.clock.signal("keep"), attempt.stepsEnded);
    }
  }

  async untilIdle(): Promise<void> {
    while (this.#attempts.size > 0) await Promise.all([...this.#attempts.values()].map(({ over }) => over));
  }

  /** Resolves when what attempts that are over had is removed; tells what of it is left. */
  async untilClean(): Promise<string | undefined> {
    const problems: (string | undefined)[] = [];
    while (this.#cleanups.size > 0) problems.push(...(await Promise.all(this.#cleanups)));
    return problems.find((problem) => problem !== undefined);
  }

  #noteWork(phase: Phase, work: Promise<string | undefined>): void {
    const entry = { phase, work };
    this.#work.add(entry);
    void work.finally(() => this.#work.delete(entry));
    this.#watch(phase, work);
  }

  #watch(phase: Phase, work: Promise<string | undefined>): void {
    this.#phases?.watch(phase, this.#options.clock.signal(deadlineOf[phase]), work);
  }

  #settleMessage({ message }: IntakeItem, fate: MessageFate): void {
    const { held } = this.#options;
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
}
