import type { Reason } from "../shared/domain/reason.ts";
import type { Logger } from "../shared/log.ts";
import { type DrainCause, describeDrain, isRevocable, reasonOfDrain } from "./drain-cause.ts";
import type { DrainClock, DrainMoment } from "./drain-clock.ts";
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
  /**
   * The last word to the control plane: this worker has ended, and these attempts were not. With `mayStay` it holds only
   * if nobody has taken the drain back meanwhile; true where somebody has, and the worker is not noted as ended. Throws
   * where it was not answered.
   */
  sayFarewell(mayStay: boolean): Promise<boolean>;
  /** Takes tasks again: the drain is undone. Attempts that were told to end go on ending. */
  goOn(): void;
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
 * One drain: `finishing ─► ending ─► cleaning ─► leaving ─► over`. As long as nobody but the control plane asked for it,
 * it can be undone until the control plane has taken the farewell: what cannot be made again is removed only then. It is
 * over at its absolute deadline, whatever hangs.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #startedAtMs: number;
  readonly #causes: [DrainCause, ...DrainCause[]];
  readonly #undone = new AbortController();
  #isLeaving = false;

  constructor(cause: DrainCause, options: DrainOptions) {
    this.#options = options;
    this.#startedAtMs = options.nowMs();
    this.#causes = [cause];
    this.#setClock(cause);
  }

  /** The cause that tells most: a machine that goes away, else what came first of those that nobody takes back. */
  get cause(): DrainCause {
    const interrupted = this.#causes.find(({ kind }) => kind === "interrupted");
    return interrupted ?? this.#causes.find((cause) => !isRevocable(cause)) ?? this.#causes[0];
  }

  /** Whether nobody but the control plane wants this worker to end. */
  get isRevocable(): boolean {
    return this.#causes.every(isRevocable);
  }

  /** Another cause while it drains: it may shorten the drain and make it final, but never begins it anew. */
  join(cause: DrainCause): void {
    // It may be told again, and more exactly.
    if (cause.kind === "interrupted") this.#setClock(cause);
    if (this.#causes.some(({ kind }) => kind === cause.kind)) return;
    this.#causes.push(cause);
    this.#options.log.info({ why: describeDrain(cause) }, "draining for another cause, too");
  }

  /**
   * Takes the drain back; false where something else wants this worker to end, or where it is saying its farewell: the
   * answer to that one tells whether it stays.
   */
  undo(): boolean {
    if (this.#isLeaving || !this.isRevocable) return false;
    this.#goOn();
    return true;
  }

  /** Drains. Never throws; false where it was undone. */
  async run(): Promise<boolean> {
    const { worker, clock, phases, log } = this.#options;
    const intake = phases.run("intake", this.#until("keep"), () => worker.stopIntake());
    await phases.run("tasks", this.#until("finish"), () => worker.untilIdle());
    if (this.#isUndone) return false;
    worker.giveBack(reasonOfDrain(this.cause));
    const over = intake.then(() => worker.untilIdle());
    over.catch((error: unknown) => log.error({ err: error }, "attempts could not be waited for"));
    await untilAborted(over, this.#untilAsked()).catch(() => undefined);
    if (this.#isUndone || !(await this.#leave())) return false;
    clock.stop();
    const ms = Math.round(this.#options.nowMs() - this.#startedAtMs);
    const causes = this.#causes.map(describeDrain);
    log.info({ why: causes.join("; "), ms, phases: phases.list(this.#startedAtMs) }, "stopped");
    return true;
  }

  /** Removes everything and says farewell; false where the worker stays after all. */
  async #leave(): Promise<boolean> {
    const { worker, phases } = this.#options;
    const messages = phases.run("messages", this.#until("end"), () => worker.settleMessages());
    const cleanup = phases.run("cleanup", this.#until("settle"), () => worker.cleanUp());
    const removed = () => cleanup.then(() => this.#remove());
    // First what can be undone, then the word that makes it final.
    if (this.#hasChoice) await untilAborted(Promise.all([messages, cleanup]), this.#untilAsked());
    if (this.#isUndone) return false;
    if (this.#hasChoice) {
      const stays = await this.#sayFarewell(true);
      if (stays === false) {
        await Promise.all([messages, removed()]);
        return true;
      }
      // Another cause may have come while the question was under way.
      if (stays && this.isRevocable) {
        this.#goOn();
        return false;
      }
    }
    // Also where the question was not answered: whatever became of it, now the worker ends.
    await Promise.all([messages, removed(), this.#sayFarewell(false)]);
    return true;
  }

  /** What hangs is not waited for so long that no time is left to ask whether the drain was meant. */
  #untilAsked(): AbortSignal {
    return this.#until(this.isRevocable ? "report" : "settle");
  }

  /** A drain whose time is over has none left to ask whether it was meant. */
  get #hasChoice(): boolean {
    return this.isRevocable && !this.#options.clock.signal("settle").aborted;
  }

  /** Whether the worker is to stay; undefined where nobody has answered. */
  async #sayFarewell(mayStay: boolean): Promise<boolean | undefined> {
    const { worker, phases } = this.#options;
    this.#isLeaving = true;
    let stays: boolean | undefined;
    await phases.run("farewell", this.#until(mayStay ? "settle" : "end"), async () => {
      stays = await worker.sayFarewell(mayStay);
    });
    return stays;
  }

  async #remove(): Promise<void> {
    const { worker, phases } = this.#options;
    const end = this.#until("end");
    await Promise.all(worker.removals().map(([phase, remove]) => phases.run(phase, end, remove)));
  }

  get #isUndone(): boolean {
    return this.#undone.signal.aborted;
  }

  #goOn(): void {
    const { worker, clock } = this.#options;
    clock.reset();
    this.#undone.abort(new Error("the drain was undone"));
    worker.goOn();
  }

  #until(moment: DrainMoment): AbortSignal {
    return AbortSignal.any([this.#options.clock.signal(moment), this.#undone.signal]);
  }

  #setClock(cause: DrainCause): void {
    const { clock, times } = this.#options;
    const drainMs =
      cause.kind === "interrupted" ? fitIntoNotice(times.drainMs, cause.endsAtMs, Date.now()) : times.drainMs;
    clock.set(planDrain({ ...times, drainMs }));
  }
}
