import type { MiddlewareHandler } from "hono";
import type { Logger } from "../../shared/log.ts";
import type { ApiEnv } from "./auth.ts";

/** What workers ask all the time, and what only reads, is worth a line when somebody looks for it. */
const isRoutine = (method: string, path: string) =>
  method === "GET" || method === "HEAD" || /^\/v1\/(workers|attempts)(\/|$)/.test(path);

/** Logs every request with its id, its job and how it was answered; what changes nothing for people in debug only. */
export function logRequests(log: Logger, now: () => number): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const startedMs = now();
    await next();
    const { method, path } = c.req;
    const { status } = c.res;
    const jobId = /^\/v1\/jobs\/([^/]+)/.exec(path)?.[1];
    const line = {
      requestId: c.var.requestId,
      method,
      path,
      status,
      ms: now() - startedMs,
      ...(jobId === undefined ? {} : { jobId }),
      ...(c.var.principal === undefined ? {} : { by: c.var.principal.name }),
    };
    log[isRoutine(method, path) && status < 500 ? "debug" : "info"](line, "answered");
  };
}
