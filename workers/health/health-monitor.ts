import type { Logger } from "../../shared/log.ts";
import { messageOf, withDeadline } from "../retry.ts";
import {
  advanceHealth,
  type Health,
  type HealthEvent,
  type HealthProblem,
  type HealthStep,
  planHealthTimes,
  startHealth,
  takesTasks,
} from "./health-state.ts";

export interface HealthMonitorOptions {
  probeMs: number;
  /** Looks at the machine; `closely` also where that costs more. Undefined where it is well. */
  probe: (closely: boolean) => Promise<HealthProblem | undefined>;
  /** Does what may mend it, for the time of an attempt numbered from 1. */
  mend: (problem: HealthProblem, attempt: number) => Promise<void>;
  /** Whether tasks run here, whose end may give back what is used up. */
  hasTasks: () => boolean;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
  log: Logger;
  /** After every change of the state or the attempt. */
  onChange: (health: Health) => void;
}

/** Probes and mends have deadlines of their own; this one is for what nobody thought of. */
const stepDeadlineMs = 180_000;

/** Every heartbeat carries it, and what is too long would be refused. */
const maxDetailLength = 500;

function boundDetail({ what, detail }: HealthProblem): HealthProblem {
  return { what, detail: detail.length > maxDetailLength ? `${detail.slice(0, maxDetailLength - 1)}…` : detail };
}

/** Looks after a worker's machine in the rhythm of `health-state.ts`. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  #health: Health;
  #timer: NodeJS.Timeout | undefined;
  #isStepping = false;
  #isHinted = false;
  #isStopped = true;

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
    this.#health = startHealth(options.nowMs());
  }

  get health(): Health {
    return this.#health;
  }

  get takesTasks(): boolean {
    return takesTasks(this.#health);
  }

  start(): void {
    this.#isStopped = false;
    this.#schedule();
  }

  /** A look under way is not waited for, and changes nothing any more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Somebody saw that the machine is not well: no tasks until a look shows that it is. */
  suspect(problem: HealthProblem): void {
    this.#advance({ kind: "suspected", problem: boundDetail(problem) });
  }

  /** Something that was away is back. */
  hint(): void {
    // The look under way may have begun before.
    if (this.#isStepping) this.#isHinted = true;
    else this.#advance({ kind: "hinted" });
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped || this.#isStepping) return;
    const delayMs = Math.max(0, this.#health.next.atMs - this.#options.nowMs());
    this.#timer = setTimeout(() => void this.#step(), delayMs).unref();
  }

  async #step(): Promise<void> {
    const before = this.#health;
    this.#isStepping = true;
    const event = await this.#take(before.next.step);
    this.#isStepping = false;
    // What was suspected meanwhile counts for more than a look that began before.
    if (before === this.#health) this.#advance(event);
    if (this.#isHinted) {
      this.#isHinted = false;
      this.#advance({ kind: "hinted" });
    }
    this.#schedule();
  }

  async #take(step: HealthStep): Promise<HealthEvent> {
    const { probe, mend, hasTasks, log } = this.#options;
    const { problem, attempt } = this.#health;
    try {
      if (step === "recover" && problem !== undefined) {
        const mended = mend(problem, attempt).catch((error: unknown) =>
          log.warn({ reason: messageOf(error), problem: problem.what }, "what should mend the machine failed"),
        );
        await withDeadline(mended, stepDeadlineMs, "mending the machine");
      }
      const look = () => withDeadline(probe(step !== "probe"), stepDeadlineMs, "the look at the machine");
      // One bad look at a machine that was well may have met a busy moment.
      let found = await look();
      if (found !== undefined && this.takesTasks) found = await look();
      if (found === undefined) return { kind: "passed" };
      const passing = hasTasks() && (found.what === "disk" || found.what === "memory");
      return { kind: "failed", problem: boundDetail(found), passing };
    } catch (error) {
      const detail = `the machine cannot be looked at: ${messageOf(error)}`;
      return { kind: "failed", problem: boundDetail({ what: "disk", detail }), passing: false };
    }
  }

  #advance(event: HealthEvent): void {
    if (this.#isStopped) return;
    const { nowMs, probeMs, onChange } = this.#options;
    const before = this.#health;
    const times = planHealthTimes(probeMs);
    this.#health = advanceHealth(before, event, { nowMs: nowMs(), random: Math.random(), times });
    if (this.#health.state !== before.state || this.#health.attempt !== before.attempt) {
      this.#log(before);
      onChange(this.#health);
    }
    this.#schedule();
  }

  #log(before: Health): void {
    const { log } = this.#options;
    const { state, attempt, problem } = this.#health;
    const told = { from: before.state, attempt, problem: problem?.what, detail: problem?.detail };
    switch (state) {
      case "recovering":
        log.warn(told, "the machine is not well: no tasks are taken until it is");
        break;
      case "recovered":
        log.info(told, "the machine has recovered: tasks are taken again");
        break;
      case "recovery_failed":
        log.error(told, "the machine could not be mended");
        break;
      case "healthy":
        log.info({ from: before.state }, "the machine is well");
    }
  }
}
