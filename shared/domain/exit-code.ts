import { type Reason, reasonFor } from "./reason.ts";

/** Exit code by which a step reports test failures: failed, but not an error. */
export const failuresExitCode = 42;
/** Exit code by which a step says that a prerequisite is missing: the task is skipped. */
export const skippedExitCode = 43;

export type ExitOutcome =
  | { state: "completed" }
  | { state: "skipped"; reason: Reason }
  | { state: "failed"; warning: boolean; reason: Reason };

/** What the exit code of a step makes of its task (0 completed, 42 failures, 43 skipped, other failed). */
export function classifyExitCode(exitCode: number, stepName: string): ExitOutcome {
  if (exitCode === 0) return { state: "completed" };
  if (exitCode === skippedExitCode) {
    return { state: "skipped", reason: reasonFor("exit_code", `${stepName} exited with 43: prerequisite failed`) };
  }
  if (exitCode === failuresExitCode) {
    return {
      state: "failed",
      warning: true,
      reason: reasonFor("exit_code", `${stepName} exited with 42: failures`),
    };
  }
  return { state: "failed", warning: false, reason: reasonFor("exit_code", `${stepName} exited with ${exitCode}`) };
}
