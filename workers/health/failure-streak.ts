import type { AttemptOutcome } from "../../shared/domain/manifest.ts";
import type { ReasonCode } from "../../shared/domain/reason.ts";

/**
 * What the machine may be to blame for. An image that cannot be had is its registry's fault, which the job names: one job
 * with a wrong name would take down every worker.
 */
const machineCodes: readonly ReasonCode[] = ["internal", "upload_failed"];

/**
 * Counts tasks that fail for the infrastructure one after the other. A machine on which nothing works fails them faster
 * than others do them, and would eat the queue.
 */
export class FailureStreak {
  readonly #limit: number;
  readonly #failed = new Map<string, string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Notes how a task ended here. Tells what is wrong once so many different ones have failed in a row; and again with each
   * further one until a task shows that the machine works.
   */
  note(taskKey: string, { state, reason }: AttemptOutcome): string | undefined {
    if (reason?.fault === "infrastructure" && machineCodes.includes(reason.code)) {
      this.#failed.set(taskKey, reason.detail);
      if (this.#failed.size < this.#limit) return undefined;
      return `${this.#failed.size} tasks in a row failed for the infrastructure, the last one: ${reason.detail}`;
    }
    // What was cut short, or took too long, shows nothing.
    const hasRun = state === "completed" || reason?.code === "exit_code";
    if (hasRun) this.#failed.clear();
    return undefined;
  }
}
