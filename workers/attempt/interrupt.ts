import type { AttemptOutcome } from "../../shared/domain/manifest.ts";
import { type Reason, reasonFor } from "../../shared/domain/reason.ts";

/**
 * Why an attempt is ended early, with its work so far kept. `cancelled`, `timed_out` and `fault` end the attempt with
 * an outcome; `drained` gives the task back unspent.
 */
export type Interrupt =
  | { kind: "cancelled"; cause: "user" | "abort_policy" | "job_timeout"; detail: string }
  | { kind: "timed_out"; detail: string }
  | { kind: "fault"; reason: Reason }
  | { kind: "drained"; reason: Reason };

/** The reason of an aborted signal that interrupts an attempt. */
export class AttemptInterrupted extends Error {
  readonly interrupt: Interrupt;

  constructor(interrupt: Interrupt) {
    super(`interrupted: ${interrupt.kind}`);
    this.name = "AttemptInterrupted";
    this.interrupt = interrupt;
  }
}

/** What an interrupt makes of its attempt; undefined where the task is given back. */
export function outcomeOfInterrupt(interrupt: Interrupt): AttemptOutcome | undefined {
  switch (interrupt.kind) {
    case "cancelled":
      return interrupt.cause === "job_timeout"
        ? { state: "timed_out", reason: reasonFor("timed_out", interrupt.detail) }
        : { state: "aborted", reason: reasonFor("cancelled", interrupt.detail) };
    case "timed_out":
      return { state: "timed_out", reason: reasonFor("timed_out", interrupt.detail) };
    case "fault":
      return { state: "failed", reason: interrupt.reason };
    case "drained":
      return undefined;
  }
}

/** A time as people read it: `250ms`, `1m 30s`, `2h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const seconds = Math.round(ms / 1000);
  const parts = [
    { unit: "h", value: Math.floor(seconds / 3600) },
    { unit: "m", value: Math.floor((seconds % 3600) / 60) },
    { unit: "s", value: seconds % 60 },
  ].filter((part) => part.value > 0);
  return parts.map((part) => `${part.value}${part.unit}`).join(" ");
}
