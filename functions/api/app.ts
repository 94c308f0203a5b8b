import { randomUUID } from "node:crypto";
import { bodyLimit } from "hono/body-limit";
import { secureHeaders } from "hono/secure-headers";
import { version } from "../../shared/version.ts";
import type { Deps } from "../deps.ts";
import { logRequests } from "./access-log.ts";
import { authenticate } from "./auth.ts";
import { compress } from "./compress.ts";
import { renderDocs } from "./docs-page.ts";
import { answerMissingRoute } from "./missing-route.ts";
import { answerError, answerProblem } from "./problem.ts";
import { createRouter } from "./route.ts";
import { artifactRoutes } from "./routes/artifacts.ts";
import { attemptRoutes } from "./routes/attempts.ts";
import { deadLetterRoutes } from "./routes/dead-letters.ts";
import { eventRoutes } from "./routes/events.ts";
import { healthRoutes } from "./routes/health.ts";
import { imageRoutes } from "./routes/images.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { logChunkRoutes } from "./routes/log-chunks.ts";
import { logRoutes } from "./routes/logs.ts";
import { metricRoutes } from "./routes/metrics.ts";
import { overviewRoutes } from "./routes/overview.ts";
import { poolRoutes } from "./routes/pools.ts";
import { secretRoutes } from "./routes/secrets.ts";
import { sessionDoors, sessionRoutes } from "./routes/session.ts";
import { taskRoutes } from "./routes/tasks.ts";
import { workerRoutes } from "./routes/workers.ts";

const document = {
  openapi: "3.1.0",
  info: { title: "Sluice API", version, description: "Submit jobs, watch them, fetch what they leave behind." },
};

/** A caller's own request id is taken over into logs and answers if it looks like one. */
const requestIdPattern = /^[\w.:-]{1,64}$/;

/** The HTTP API. Everything below `/v1` but signing in needs a token; the documentation and the health routes do not. */
export function createApp(deps: Deps) {
  const app = createRouter();
  const tooLarge = `a request body has at most ${deps.limits.requestBodyBytes} bytes; move long scripts and data of a job into files or images`;
  app.onError((error, c) => answerError(error, c, deps.log));
  app.notFound((c) => answerMissingRoute(c, app));
  app.use(async (c, next) => {
    const sent = c.req.header("x-request-id") ?? "";
    c.set("requestId", requestIdPattern.test(sent) ? sent : randomUUID());
    await next();
    c.header("x-request-id", c.var.requestId);
    // A cache in front of the API knows nothing of tokens.
    if (!c.res.headers.has("cache-control")) c.header("cache-control", "no-store");
  });
  app.use(logRequests(deps.log, deps.now));
  app.use(compress());
  app.use(
    secureHeaders({ contentSecurityPolicy: { defaultSrc: ["'self'"], styleSrc: ["'self'", "'unsafe-inline'"] } }),
  );
  app.use(
    bodyLimit({
      maxSize: deps.limits.requestBodyBytes,
      onError: (c) => answerProblem(c, "payload_too_large", tooLarge),
    }),
  );
  app.route("/", healthRoutes(deps));
  app.openAPIRegistry.registerComponent("securitySchemes", "token", { type: "http", scheme: "bearer" });
  // A secret's name is one part of the path, its slashes encoded; what takes the encoding off on the way does no harm.
  app.all("/v1/secrets/:first/:rest{.+}", (c) => {
    const { first, rest } = c.req.param();
    const url = new URL(c.req.url);
    url.pathname = `/v1/secrets/${encodeURIComponent(`${first}/${rest}`)}`;
    return app.fetch(new Request(url, c.req.raw), c.env);
  });
  app.route("/", sessionDoors(deps));
  app.use("/v1/*", authenticate(deps));
  for (const routes of [
    sessionRoutes,
    jobRoutes,
    taskRoutes,
    attemptRoutes,
    artifactRoutes,
    metricRoutes,
    eventRoutes,
    logRoutes,
    logChunkRoutes,
    imageRoutes,
    secretRoutes,
    overviewRoutes,
    workerRoutes,
    poolRoutes,
    deadLetterRoutes,
  ]) {
    app.route("/", routes(deps));
  }
  app.doc31("/openapi.json", document);
  app.get("/docs", (c) => c.html(renderDocs(app.getOpenAPI31Document(document))));
  app.get("/", (c) => c.redirect("/docs"));
  return app;
}
