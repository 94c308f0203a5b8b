import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Problem } from "../../shared/api/schemas.ts";
import { AppError, type ErrorCode, errorStatus } from "../../shared/domain/errors.ts";
import type { Logger } from "../../shared/log.ts";

const titles: Record<ErrorCode, string> = {
  invalid_request: "The request is not valid",
  invalid_job: "The job is not valid",
  too_many_tasks: "The job has too many tasks",
  unknown_pool: "There is no such pool",
  invalid_cursor: "The cursor is not valid",
  unauthorized: "Not signed in",
  forbidden: "Not allowed",
  not_found: "Not found",
  method_not_allowed: "The method is not allowed here",
  conflict: "Conflict",
  image_missing: "An image is not stored",
  idempotency_mismatch: "The Idempotency-Key was used for something else",
  payload_too_large: "Too large",
  unsupported_media_type: "The content type is not supported",
  range_not_satisfiable: "There is nothing at that place",
  too_many_jobs: "Too many jobs at once",
  internal: "Something failed on our side",
  unavailable: "Not available right now",
};

/** What a problem may tell beside its detail. */
interface ProblemExtras {
  problems?: Problem["problems"];
  headers?: Record<string, string>;
}

/** Answers with a problem document (RFC 9457). */
export function answerProblem(
  c: Context,
  code: ErrorCode,
  detail: string,
  { problems, headers = {} }: ProblemExtras = {},
): Response {
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
    ...headers,
  });
}

/** The one place where the API's errors become answers; what is not expected is logged and told without its details. */
export function answerError(error: Error, c: Context, log: Logger): Response {
  if (error instanceof AppError) {
    if (error.retryable) log.error({ err: error, requestId: c.get("requestId") }, error.message);
    const { problems, retryAfterSeconds, contentRange } = error.details;
    return answerProblem(c, error.code, error.message, {
      ...(problems === undefined ? {} : { problems: problems as Problem["problems"] }),
      headers: {
        ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
        ...(contentRange === undefined ? {} : { "content-range": String(contentRange) }),
      },
    });
  }
  if (error instanceof HTTPException && error.status < 500) {
    return answerRefusal(c, error);
  }
  log.error({ err: error, requestId: c.get("requestId"), path: c.req.path }, "the request failed");
  return answerProblem(
    c,
    "internal",
    "the request failed on our side; try again, and quote the request id if it stays",
  );
}

/** What the framework itself refuses before a route sees it. */
function answerRefusal(c: Context, { status, message }: HTTPException): Response {
  if (status === 413) return answerProblem(c, "payload_too_large", message);
  if (status !== 415) return answerProblem(c, "invalid_request", message);
  const sent = c.req.header("content-type");
  const problem = sent === undefined ? "the body has no content type" : `a body of type ${sent} cannot be read`;
  return answerProblem(c, "unsupported_media_type", `${problem}; send JSON with \`Content-Type: application/json\``);
}
