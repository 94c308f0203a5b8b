import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ZodError } from "zod";
import type { Problem } from "../../shared/api/schemas.ts";
import { AppError, type ErrorCode, errorStatus } from "../../shared/domain/errors.ts";
import type { Logger } from "../../shared/log.ts";

const titles: Record<ErrorCode, string> = {
  invalid_request: "The request is not valid",
  invalid_job: "The job is not valid",
  unknown_pool: "There is no such pool",
  invalid_cursor: "The cursor is not valid",
  unauthorized: "Not signed in",
  forbidden: "Not allowed",
  not_found: "Not found",
  conflict: "Conflict",
  idempotency_mismatch: "The Idempotency-Key was used for something else",
  payload_too_large: "Too large",
  internal: "Something failed on our side",
  unavailable: "Not available right now",
};

/** Answers with a problem document (RFC 9457). */
export function answerProblem(c: Context, code: ErrorCode, detail: string, problems?: Problem["problems"]): Response {
  const status = errorStatus[code] as ContentfulStatusCode;
  const requestId = c.get("requestId") as string | undefined;
  const body: Problem = {
    type: `urn:sluice:problem:${code}`,
    title: titles[code],
    status,
    code,
    detail,
    ...(requestId ? { requestId } : {}),
    ...(problems ? { problems } : {}),
  };
  return c.body(JSON.stringify(body), status, {
    "content-type": "application/problem+json",
    ...(code === "unauthorized" ? { "www-authenticate": 'Bearer realm="sluice"' } : {}),
  });
}

/** Every mistake a schema found, each with its path (`spec.steps[0].image`). */
export function listProblems(error: ZodError): NonNullable<Problem["problems"]> {
  return error.issues.map((issue) => ({
    path: issue.path
      .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
      .join("")
      .replace(/^\./, ""),
    message: issue.message,
  }));
}

/** The one place where the API's errors become answers; what is not expected is logged and told without its details. */
export function answerError(error: Error, c: Context, log: Logger): Response {
  if (error instanceof AppError) {
    if (error.retryable) log.error({ err: error, requestId: c.get("requestId") }, error.message);
    return answerProblem(c, error.code, error.message, error.details.problems as Problem["problems"]);
  }
  if (error instanceof HTTPException && error.status < 500) {
    return answerProblem(c, error.status === 413 ? "payload_too_large" : "invalid_request", error.message);
  }
  log.error({ err: error, requestId: c.get("requestId"), path: c.req.path }, "the request failed");
  return answerProblem(
    c,
    "internal",
    "the request failed on our side; try again, and quote the request id if it stays",
  );
}
