import type { TerminalTaskState } from "./task-state.ts";

/** Why a task did not complete; each code says whose fault it is and whether the platform tries again by itself. */
export const reasonCodes = [
  "exit_code",
  "timed_out",
  "out_of_memory",
  "image_unavailable",
  "service_unhealthy",
  "secret_missing",
  "upload_failed",
  "worker_lost",
  "spot_interrupted",
  "drained",
  "cancelled",
  "dependency_failed",
  "dead_lettered",
  "internal",
] as const;
export type ReasonCode = (typeof reasonCodes)[number];

/** Who an ended attempt is put down to: the job, or what it ran on. */
export const faults = ["user", "infrastructure"] as const;
export type Fault = (typeof faults)[number];

/** A reason as users see it: a stable code, a sentence, and whose fault it is. */
export interface Reason {
  code: ReasonCode;
  detail: string;
  fault: Fault;
}

const faultByCode: Record<ReasonCode, Fault> = {
  exit_code: "user",
  timed_out: "user",
  out_of_memory: "user",
  image_unavailable: "infrastructure",
  service_unhealthy: "user",
  secret_missing: "user",
  upload_failed: "infrastructure",
  worker_lost: "infrastructure",
  spot_interrupted: "infrastructure",
  drained: "infrastructure",
  cancelled: "user",
  // Whose it is depends on what was needed, see `dependencyReason`.
  dependency_failed: "user",
  dead_lettered: "infrastructure",
  internal: "infrastructure",
};

/** Whose fault a code implies; single reasons may say otherwise. */
export function faultOf(code: ReasonCode): Fault {
  return faultByCode[code];
}

/** Longest detail kept on a task, in characters: items and events stay small whatever a program printed. */
export const maxReasonDetailLength = 2000;

/** Builds a reason with the fault its code implies and a detail of bounded length. */
export function reasonFor(code: ReasonCode, detail: string, maxLength = maxReasonDetailLength): Reason {
  const bounded = detail.length > maxLength ? `${detail.slice(0, maxLength - 1)}…` : detail;
  return { code, detail: bounded, fault: faultByCode[code] };
}

const endedWords: Record<Exclude<TerminalTaskState, "completed">, string> = {
  failed: "failed",
  timed_out: "timed out",
  skipped: "was skipped",
  aborted: "was aborted",
};

/** Why a task never started: one that it needs did not complete. The fault is that task's. */
export function dependencyReason(need: {
  task: string;
  state: Exclude<TerminalTaskState, "completed">;
  fault?: Fault | undefined;
}): Reason {
  const reason = reasonFor("dependency_failed", `needs ${need.task}, which ${endedWords[need.state]}`);
  return { ...reason, fault: need.fault ?? reason.fault };
}
