import type { Context, Hono } from "hono";
import type { ApiEnv } from "./auth.ts";
import { answerProblem } from "./problem.ts";

/** Answers a request that no route takes: the path has other methods (405, which names them), or there is none (404). */
export function answerMissingRoute(c: Context<ApiEnv>, app: Pick<Hono<ApiEnv>, "routes">): Response {
  const { method, path } = c.req;
  const methods = listMethods(app.routes, path);
  if (methods.length === 0) return answerProblem(c, "not_found", `there is no route ${method} ${path}; see /docs`);
  const allow = methods.join(", ");
  return answerProblem(c, "method_not_allowed", `${path} has no method ${method}; it has ${allow}`, {
    headers: { allow },
  });
}

/** Methods of the routes of a path; what stands before all methods is no route. */
function listMethods(routes: readonly { method: string; path: string }[], path: string): string[] {
  const methods = routes.flatMap((route) =>
    route.method !== "ALL" && toPattern(route.path).test(path) ? [route.method] : [],
  );
  // The framework answers a HEAD by the route of the GET.
  return [...new Set(methods.includes("GET") ? [...methods, "HEAD"] : methods)].sort();
}

function toPattern(route: string): RegExp {
  const parts = route
    .split("/")
    .map((part) => (part.startsWith(":") ? "[^/]+" : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  return new RegExp(`^${parts.join("/")}$`);
}
