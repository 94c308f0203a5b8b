import type { Reason } from "../shared/domain/reason.ts";
import type { Logger } from "../shared/log.ts";
import { type DrainCause, describeDrain, reasonOfDrain } from "./drain-cause.ts";
import type { DrainClock } from "./drain-clock.ts";
import type { DrainPhases } from "./drain-phases.ts";
import { fitIntoNotice, planDrain } from "./drain-plan.ts";
import { untilAborted } from "./retry.ts";

/**
 * What a drain does with its worker. Each may fail or hang: the drain goes on all the same. What answers a text tells by
 * it what is left undone.
 */
export interface DrainedWorker {
  /** Takes nothing more; resolves when what arrived late is given back. */
  stopIntake(): Promise<void>;
  /** Resolves when no attempt is left. */
  untilIdle(): Promise<void>;
  /** Ends the attempts that are left, each with a grace period, and gives their tasks back. */
  giveBack(reason: Reason): void;
  /** Gives back the messages that are left, and waits for all that were deleted or given back. */
  settleMessages(): Promise<string | undefined>;
  /** Removes what was made for attempts. */
  cleanUp(): Promise<string | undefined>;
  /** What else is to be removed, by phase; each stands by itself. */
  removals(): [phase: string, remove: () => Promise<string | undefined>][];
  /** The last word to the control plane: this worker has ended, and these attempts were not. */
  sayFarewell(): Promise<void>;
}

export interface DrainOptions {
  worker: DrainedWorker;
  /** The longest that it may take, the longest that running tasks get to finish, and from SIGTERM to SIGKILL. */
  times: { drainMs: number; finishMs: number; killGraceMs: number };
  clock: DrainClock;
  phases: DrainPhases;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
  log: Logger;
}

/**
 * One drain: `finishing ─► ending ─► over`. While tasks finish it can be undone, if nobody but the control plane asked
 * for it. It is over at its absolute deadline, whatever hangs.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #startedAtMs: number;
  readonly #causes: [DrainCause, ...DrainCause[]];
  readonly #undone = new AbortController();
  #isEnding = false;

  constructor(cause: DrainCause, options: DrainOptions) {
    this.#options = options;
    this.#startedAtMs = options.nowMs();
    this.#causes = [cause];
    this.#setClock(cause);
  }

  /** The cause that tells most: a machine that goes away, else what came first. */
  get cause(): DrainCause {
    return this.#causes.find(({ kind }) => kind === "interrupted") ?? this.#causes[0];
  }

  /** Another cause while it drains: it may shorten the drain and make it final, but never begins it anew. */
  join(cause: DrainCause): void {
    // It may be told again, and more exactly.
    if (cause.kind === "interrupted") this.#setClock(cause);
    if (this.#causes.some(({ kind }) => kind === cause.kind)) return;
    this.#causes.push(cause);
    this.#options.log.info({ why: describeDrain(cause) }, "draining for another cause, too");
  }

  /** Takes the drain back; false where it is too late for that, or where something else wants this worker to end. */
  undo(): boolean {
    if (this.#isEnding || this.#causes.some(({ kind }) => kind !== "requested")) return false;
    this.#options.clock.stop();
    this.#undone.abort(new Error("the drain was undone"));
    return true;
  }

  /** Drains. Never throws; false where it was undone. */
  async run(): Promise<boolean> {
    const { worker, clock, phases, log } = this.#options;
    const intake = phases.run("intake", clock.signal("keep"), () => worker.stopIntake());
    const finish = AbortSignal.any([clock.signal("finish"), this.#undone.signal]);
    await phases.run("tasks", finish, () => worker.untilIdle());
    if (this.#undone.signal.aborted) return false;
    this.#isEnding = true;
    worker.giveBack(reasonOfDrain(this.cause));
    const over = intake.then(() => worker.untilIdle());
    over.catch((error: unknown) => log.error({ err: error }, "attempts could not be waited for"));
    await untilAborted(over, clock.signal("settle")).catch(() => undefined);
    const end = clock.signal("end");
    await Promise.all([
      phases.run("messages", end, () => worker.settleMessages()),
      this.#remove(),
      phases.run("farewell", end, () => worker.sayFarewell()),
    ]);
    clock.stop();
    const ms = Math.round(this.#options.nowMs() - this.#startedAtMs);
    const causes = this.#causes.map(describeDrain);
    log.info({ why: causes.join("; "), ms, phases: phases.list(this.#startedAtMs) }, "stopped");
    return true;
  }

  async #remove(): Promise<void> {
    const { worker, clock, phases } = this.#options;
    await phases.run("cleanup", clock.signal("settle"), () => worker.cleanUp());
    const end = clock.signal("end");
    await Promise.all(worker.removals().map(([phase, remove]) => phases.run(phase, end, remove)));
  }

  #setClock(cause: DrainCause): void {
    const { clock, times } = this.#options;
    const drainMs =
      cause.kind === "interrupted" ? fitIntoNotice(times.drainMs, cause.endsAtMs, Date.now()) : times.drainMs;
    clock.set(planDrain({ ...times, drainMs }));
  }
}
