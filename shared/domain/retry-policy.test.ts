import { describe, expect, it } from "vitest";
import { reasonCodes, reasonFor } from "./reason.ts";
import { decideRetry, type FailureCounts, type UserRetryPolicy } from "./retry-policy.ts";
import { maxAttempts, maxInfrastructureAttempts } from "./timing.ts";

const once: FailureCounts = { attempt: 1, infrastructureFailures: 0, userFailures: 0 };
const failed = (code: (typeof reasonCodes)[number]) => ({ state: "failed" as const, reason: reasonFor(code, "") });

describe("the retry policy", () => {
  it("tries infrastructure failures again with a delay that doubles, up to a limit", () => {
    const decisions = Array.from({ length: maxInfrastructureAttempts }, (_, index) =>
      decideRetry(failed("image_unavailable"), { ...once, infrastructureFailures: index + 1 }, undefined),
    );
    expect(decisions.map((decision) => (decision.retry ? decision.delaySeconds : "no"))).toEqual([1, 2, 4, 8, "no"]);
    expect(decisions.every((decision) => !decision.retry || decision.counted === "infrastructure")).toBe(true);
  });

  it("ends the task after a failure of the user's, and where there is no reason", () => {
    const ofUsers = reasonCodes.filter((code) => reasonFor(code, "").fault === "user");
    expect(ofUsers).toContain("exit_code");
    const counts = { ...once, userFailures: 1 };
    for (const code of ofUsers) expect(decideRetry(failed(code), counts, undefined)).toEqual({ retry: false });
    expect(decideRetry({}, counts, undefined)).toEqual({ retry: false });
  });

  it("tries an attempt again at once whose machine was taken away, up to the limit", () => {
    const decide = (infrastructureFailures: number) =>
      decideRetry(failed("spot_interrupted"), { ...once, infrastructureFailures }, undefined);
    expect(decide(3)).toEqual({ retry: true, delaySeconds: 0, counted: "infrastructure" });
    expect(decide(maxInfrastructureAttempts)).toEqual({ retry: false });
  });

  it("tries a drained attempt again at once, however often, and does not count it", () => {
    for (const infrastructureFailures of [1, maxInfrastructureAttempts, 50]) {
      const decision = decideRetry(
        { reason: reasonFor("drained", "") },
        { ...once, infrastructureFailures },
        undefined,
      );
      expect(decision).toEqual({ retry: true, delaySeconds: 0, counted: "nobody" });
    }
  });
});

describe("the retry policy of a job", () => {
  const policy: UserRetryPolicy = { attempts: 3, on: ["exit_code", "timed_out"] };
  const decide = (outcome: Parameters<typeof decideRetry>[0], userFailures = 1, wanted = policy) =>
    decideRetry(outcome, { ...once, attempt: userFailures, userFailures }, wanted);

  it("gives a task so many tries in all, with a delay that doubles", () => {
    const decisions = [1, 2, 3].map((userFailures) => decide(failed("exit_code"), userFailures));
    expect(decisions).toEqual([
      { retry: true, delaySeconds: 1, counted: "user" },
      { retry: true, delaySeconds: 2, counted: "user" },
      { retry: false },
    ]);
  });

  it("acts on the classes it names only", () => {
    expect(decide({ state: "timed_out", reason: reasonFor("timed_out", "") }).retry).toBe(true);
    for (const code of ["out_of_memory", "secret_missing", "cancelled", "dependency_failed"] as const) {
      expect(decide(failed(code)).retry).toBe(false);
    }
  });

  it("takes exit code 42 for a result, unless it names failures", () => {
    const failures = { ...failed("exit_code"), warning: true };
    expect(decide(failures).retry).toBe(false);
    expect(decide(failures, 1, { attempts: 2, on: ["failures"] }).retry).toBe(true);
    expect(decide(failed("exit_code"), 1, { attempts: 2, on: ["failures"] }).retry).toBe(false);
  });

  it("never tries again what was skipped by exit code 43, aborted, or has had all the attempts there are", () => {
    const reason = reasonFor("exit_code", "");
    expect(decide({ state: "skipped", reason }).retry).toBe(false);
    expect(decide({ state: "aborted", reason }).retry).toBe(false);
    expect(decideRetry(failed("exit_code"), { ...once, attempt: maxAttempts }, policy).retry).toBe(false);
  });

  it("does not count what infrastructure failed at", () => {
    const decision = decideRetry(failed("internal"), { ...once, infrastructureFailures: 1, userFailures: 3 }, policy);
    expect(decision.retry).toBe(true);
  });
});
