import type { DrainPlan } from "./drain-plan.ts";

/** The moments of a drain, see `DrainPlan`. */
export type DrainMoment = "finish" | "kill" | "keep" | "commit" | "report" | "settle" | "end";

const noMoreTime = "the worker was being stopped and had no more time for it";

/** What is over when a moment comes, as the reason of its signal. */
const reasons: Record<DrainMoment, string> = {
  finish: "the time in which tasks may finish is over",
  kill: "the time in which steps may end is over",
  keep: noMoreTime,
  commit: noMoreTime,
  report: "the drain's time is over",
  settle: "the drain's time is over",
  end: "the drain's time is over",
};

interface Appointment {
  atMs: number;
  timer: NodeJS.Timeout;
}

/**
 * The moments of a drain as signals: whoever must end by then holds one from its own start. They are set when a drain
 * begins; set again, they come earlier or as they would have. A drain that is undone resets them.
 */
export class DrainClock {
  readonly #nowMs: () => number;
  readonly #controllers = new Map<DrainMoment, AbortController>();
  readonly #appointments = new Map<DrainMoment, Appointment>();

  /** `nowMs` is a clock that only goes forward. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    for (const moment of Object.keys(reasons) as DrainMoment[]) this.#controllers.set(moment, new AbortController());
  }

  signal(moment: DrainMoment): AbortSignal {
    return this.#controllerOf(moment).signal;
  }

  /** Sets the moments of a plan that begins now. */
  set(plan: DrainPlan): void {
    this.#bringForward("finish", plan.finishByMs);
    this.#bringForward("kill", plan.killByMs);
    this.#bringForward("keep", plan.keepByMs);
    this.#bringForward("commit", plan.commitByMs);
    this.#bringForward("report", plan.reportByMs);
    this.#bringForward("settle", plan.settleByMs);
    this.#bringForward("end", plan.endByMs);
  }

  /** Brings a moment about now. */
  pass(moment: DrainMoment): void {
    this.#controllerOf(moment).abort(new Error(reasons[moment]));
  }

  /** Unsets the moments that have not come. */
  stop(): void {
    for (const { timer } of this.#appointments.values()) clearTimeout(timer);
    this.#appointments.clear();
  }

  /**
   * Makes ready for another drain. A signal whose moment has come stays aborted for whoever holds it, and who begins now
   * gets another; one whose moment has not come is the same for both, so that the next drain ends what is left of this.
   */
  reset(): void {
    this.stop();
    for (const [moment, { signal }] of this.#controllers) {
      if (signal.aborted) this.#controllers.set(moment, new AbortController());
    }
  }

  #bringForward(moment: DrainMoment, inMs: number): void {
    const atMs = this.#nowMs() + inMs;
    const standing = this.#appointments.get(moment);
    if (standing !== undefined && standing.atMs <= atMs) return;
    clearTimeout(standing?.timer);
    this.#appointments.set(moment, { atMs, timer: setTimeout(() => this.pass(moment), inMs) });
  }

  #controllerOf(moment: DrainMoment): AbortController {
    const controller = this.#controllers.get(moment);
    if (controller === undefined) throw new Error(`there is no moment ${moment}`);
    return controller;
  }
}
