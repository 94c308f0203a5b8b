import type { AttemptOutcome } from "../../shared/domain/manifest.ts";
import { type Fault, reasonFor } from "../../shared/domain/reason.ts";

/** What of an attempt could not be kept, and whose fault that is: only infrastructure's is worth another attempt. */
export interface UploadProblem {
  detail: string;
  fault: Fault;
}

/** A completed task without its artifact or log is not completed; another outcome keeps its state and tells more. */
export function withUploadProblems(outcome: AttemptOutcome, problems: readonly UploadProblem[]): AttemptOutcome {
  if (problems.length === 0) return outcome;
  const detail = joinProblems(problems);
  if (outcome.reason === undefined) {
    const fault = problems.every((problem) => problem.fault === "user") ? "user" : "infrastructure";
    return {
      state: "failed",
      reason: { ...reasonFor("upload_failed", `the task completed, but ${detail}`), fault },
    };
  }
  if (outcome.reason.code === "upload_failed") return outcome;
  return { ...outcome, reason: reasonFor(outcome.reason.code, `${outcome.reason.detail}; ${detail}`) };
}

/** The problems as one clause. */
export function joinProblems(problems: readonly UploadProblem[]): string {
  return problems.map((problem) => problem.detail).join("; ");
}
