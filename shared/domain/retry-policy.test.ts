import { describe, expect, it } from "vitest";
import { reasonCodes, reasonFor } from "./reason.ts";
import { decideRetry } from "./retry-policy.ts";
import { maxInfrastructureAttempts } from "./timing.ts";

describe("the retry policy", () => {
  it("tries infrastructure failures again with a delay that doubles, up to a limit", () => {
    const reason = reasonFor("image_unavailable", "the registry is away");
    const decisions = Array.from({ length: maxInfrastructureAttempts }, (_, index) => decideRetry(reason, index + 1));
    expect(decisions.map((decision) => (decision.retry ? decision.delaySeconds : "no"))).toEqual([1, 2, 4, 8, "no"]);
    expect(decisions.every((decision) => !decision.retry || decision.counted)).toBe(true);
  });

  it("ends the task after a failure of the user's, and where there is no reason", () => {
    const ofUsers = reasonCodes.filter((code) => reasonFor(code, "").fault === "user");
    expect(ofUsers).toContain("exit_code");
    for (const code of ofUsers) expect(decideRetry(reasonFor(code, ""), 1)).toEqual({ retry: false });
    expect(decideRetry(undefined, 1)).toEqual({ retry: false });
  });

  it("tries a drained attempt again at once, however often, and does not count it", () => {
    for (const failures of [1, maxInfrastructureAttempts, 50]) {
      const decision = decideRetry(reasonFor("drained", "the worker drains"), failures);
      expect(decision).toEqual({ retry: true, delaySeconds: 0, counted: false });
    }
  });
});
