import { describe, expect, it } from "vitest";
import { ApiError, ConnectionError } from "../shared/api-client/index.ts";
import { type ErrorCode, errorStatus } from "../shared/domain/errors.ts";
import { CliError, explainError, Interrupted } from "./errors.ts";

function apiError(code: ErrorCode): ApiError {
  return new ApiError({ status: errorStatus[code], code, detail: `about ${code}`, requestId: "r-1" });
}

describe("the exit code of an error", () => {
  const expected: Record<ErrorCode, number> = {
    invalid_request: 2,
    invalid_job: 2,
    too_many_tasks: 2,
    unknown_pool: 2,
    invalid_cursor: 2,
    unauthorized: 4,
    forbidden: 4,
    not_found: 5,
    method_not_allowed: 2,
    conflict: 2,
    image_missing: 2,
    idempotency_mismatch: 2,
    payload_too_large: 2,
    unsupported_media_type: 2,
    range_not_satisfiable: 2,
    too_many_jobs: 4,
    internal: 4,
    unavailable: 4,
  };

  it.each(Object.entries(expected))("of the API: %s is %i", (code, exitCode) => {
    expect(explainError(apiError(code as ErrorCode)).exitCode).toBe(exitCode);
  });

  it("is 4 where something else than the API answered, whatever its status", () => {
    const error = new ApiError({ status: 404, code: "unexpected_answer", detail: "not the API" });
    expect(explainError(error).exitCode).toBe(4);
  });

  it.each(["refused", "not_found", "reset", "timeout", "tls", "other"] as const)(
    "is 4 without an answer: %s",
    (kind) => {
      expect(explainError(new ConnectionError(kind, "https://ci.example.com", "why")).exitCode).toBe(4);
    },
  );

  it("is the command's own, 130 after Ctrl-C, and never 0 for what nobody expected", () => {
    expect(explainError(new CliError(5, "none")).exitCode).toBe(5);
    expect(explainError(new Interrupted()).exitCode).toBe(130);
    expect(explainError(new TypeError("bug")).exitCode).toBe(1);
    expect(explainError("thrown text").message).toContain("thrown text");
  });
});

describe("the message of an error", () => {
  it("says how to start the local stack when it is the one that is away", () => {
    const error = new ConnectionError("refused", "http://127.0.0.1:4400", "connect ECONNREFUSED");
    expect(explainError(error).message).toBe(
      "cannot reach http://127.0.0.1:4400: is the local stack running? Start it with `sluice dev`",
    );
  });

  it("does not send users of another control plane to the local stack", () => {
    const error = new ConnectionError("refused", "https://ci.example.com", "connect ECONNREFUSED");
    expect(explainError(error).message).not.toContain("sluice dev");
  });

  it("says what to do about a token", () => {
    expect(explainError(apiError("unauthorized")).details.join()).toContain("SLUICE_TOKEN");
    expect(explainError(apiError("forbidden")).details.join()).toContain("role");
  });

  it("names the request to ask about when the control plane failed", () => {
    expect(explainError(apiError("internal")).message).toContain("r-1");
  });

  it("lists the problems of a refused job", () => {
    const problems = [
      { path: "spec.steps", message: "is empty" },
      { path: "", message: "is wrong" },
    ];
    const error = new ApiError({ status: 400, code: "invalid_job", detail: "the job is not valid", problems });
    expect(explainError(error).details).toEqual(["spec.steps: is empty", "is wrong"]);
  });
});
