import { describe, expect, it } from "vitest";
import { defaultLimits, limits } from "../domain/limits.ts";
import { parseLimits, pickLimitVariables } from "./limit-settings.ts";

function problemsOf(env: Record<string, string>): string[] {
  const parsed = parseLimits(env);
  return parsed.ok ? [] : parsed.problems;
}

describe("the limits of an installation", () => {
  it("are the defaults where nothing is said, whatever else is in the environment", () => {
    expect(parseLimits({ PATH: "/bin", SLUICE_TOKEN: "x" })).toEqual({ ok: true, limits: defaultLimits });
  });

  it("come each from its own variable", () => {
    const env = {
      SLUICE_LIMITS_TASKS_PER_JOB: "11",
      SLUICE_LIMITS_JOBS_IN_FLIGHT: "12",
      SLUICE_LIMITS_REQUEST_BODY_BYTES: "1000000",
      SLUICE_LIMITS_TASK_PAGE: "14",
      SLUICE_LIMITS_EVENT_PAGE: "15",
      SLUICE_LIMITS_EVENT_PAGE_BYTES: "1600",
      SLUICE_LIMITS_LOG_PAGE_LINES: "17",
      SLUICE_LIMITS_LOG_PAGE_BYTES: "1800",
      SLUICE_LIMITS_FOLLOW_SECONDS: "19",
      SLUICE_LIMITS_IMAGE_DAYS: "20",
      SLUICE_LIMITS_IMAGE_GIGABYTES: "21",
    };
    const parsed = parseLimits(env);
    expect(parsed.ok && Object.values(parsed.limits).sort()).toEqual(Object.values(env).map(Number).sort());
  });

  it("are picked out of an environment for those who hand it on", () => {
    const env = { PATH: "/bin", SLUICE_LIMITS_TASK_PAGE: "5", SLUICE_LIMITS_TYPO: "1", SLUICE_TOKEN: "secret" };
    expect(pickLimitVariables(env)).toEqual({ SLUICE_LIMITS_TASK_PAGE: "5", SLUICE_LIMITS_TYPO: "1" });
  });

  it("tell all problems at once, each with what is allowed", () => {
    const problems = problemsOf({
      SLUICE_LIMITS_TASKS_PER_JOB: "many",
      SLUICE_LIMITS_JOBS_IN_FLIGHT: "0",
      SLUICE_LIMITS_TASK_PAGE: "1001",
      SLUICE_LIMITS_LOG_PAGE: "5",
    });
    expect(problems).toHaveLength(4);
    expect(problems).toContain(`SLUICE_LIMITS_TASKS_PER_JOB is a whole number from 1 to ${limits.tasksPerJob}`);
    expect(problems).toContain("SLUICE_LIMITS_JOBS_IN_FLIGHT is a whole number from 1 to 100000");
    expect(problems[0]).toMatch(/^SLUICE_LIMITS_LOG_PAGE is no setting; there are .*SLUICE_LIMITS_LOG_PAGE_LINES/);
  });

  it("refuse a request body in which no job of the allowed size fits", () => {
    const least = limits.jobSpecBytes + limits.taskBytes;
    expect(problemsOf({ SLUICE_LIMITS_REQUEST_BODY_BYTES: String(least - 1) })[0]).toContain(`less than ${least}`);
    expect(problemsOf({ SLUICE_LIMITS_REQUEST_BODY_BYTES: String(least) })).toEqual([]);
  });
});
