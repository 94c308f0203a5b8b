import { type Reason, reasonFor } from "../shared/domain/reason.ts";

/**
 * Why a worker ends. `interrupted`: its machine goes away at `endsAtMs`, in milliseconds since the epoch. `requested`:
 * the control plane asks for it, and may take that back. `idle`: it had no task for as long as it waits for one.
 */
export type DrainCause =
  | { kind: "signal"; signal: "SIGTERM" | "SIGINT" }
  | { kind: "interrupted"; detail: string; endsAtMs: number }
  | { kind: "requested" }
  | { kind: "idle" }
  | { kind: "unhealthy"; detail: string }
  | { kind: "outdated"; detail: string };

/** Whether who began a drain for this cause may take it back; whatever else ends a worker goes on wanting that. */
export function isRevocable({ kind }: DrainCause): boolean {
  return kind === "requested";
}

/** The cause as a clause: what happens to the worker. */
export function describeDrain(cause: DrainCause): string {
  switch (cause.kind) {
    case "signal":
      return `the worker is being stopped (${cause.signal})`;
    case "interrupted":
      return `the worker's machine is being taken away (${cause.detail})`;
    case "requested":
      return "the worker is being drained";
    case "idle":
      return "the worker had nothing to do";
    case "unhealthy":
      return `the worker takes itself out of service (${cause.detail})`;
    case "outdated":
      return `the worker makes room for a newer version (${cause.detail})`;
  }
}

/** The reason of tasks that are given back because of it. */
export function reasonOfDrain(cause: DrainCause): Reason {
  const code = cause.kind === "interrupted" ? "spot_interrupted" : "drained";
  return reasonFor(code, `${describeDrain(cause)}: the task starts again elsewhere`);
}

/** `EX_UNAVAILABLE`: starting this worker again on this machine changes nothing, replace the machine. */
const unhealthyExitCode = 69;

/** What the worker's process exits with after a drain. */
export function exitCodeOf(cause: DrainCause): number {
  return cause.kind === "unhealthy" ? unhealthyExitCode : 0;
}
