import { describe, expect, it } from "vitest";
import * as z from "zod";
import { defaultLimits } from "../../shared/domain/limits.ts";
import { type Role, roles } from "../../shared/domain/roles.ts";
import { createLogger } from "../../shared/log.ts";
import type { Deps } from "../deps.ts";
import { createApp } from "./app.ts";

/** Nothing is behind the door: what gets past it fails, which is not what these tests look at. */
const deps = {
  tokens: {
    find: async (token: string) => {
      const role = roles.find((name) => name === token);
      return role && { name: `test-${role}`, role };
    },
  },
  limits: defaultLimits,
  log: createLogger("test", { level: "silent" }),
  now: Date.now,
} as unknown as Deps;

const app = createApp(deps);

const documentSchema = z.object({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ summary: z.string() }))),
  components: z.object({ schemas: z.record(z.string(), z.unknown()) }),
});
type OpenApi = z.infer<typeof documentSchema>;

async function readDocument(): Promise<OpenApi> {
  return documentSchema.parse(await (await app.request("/openapi.json")).json());
}

/** Paths that need no token. */
const openPaths = ["/healthz", "/readyz"];

/** Operations that let a browser in and out. */
const doors = ["POST /v1/session", "DELETE /v1/session"];

/** Every operation below /v1 that is behind the door, with some value for each of its parameters. */
async function listOperations(): Promise<{ method: string; path: string; operation: Record<string, unknown> }[]> {
  const { paths } = await readDocument();
  const guarded = Object.entries(paths).filter(([path]) => !openPaths.includes(path));
  return guarded
    .flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path: path.replaceAll(/\{(\w+)\}/g, "x"),
        operation,
      })),
    )
    .filter(({ method, path }) => !doors.includes(`${method} ${path}`));
}

/** The lowest role each route needs; a route that is missing here fails the test below. */
const roleByRoute: Record<string, Role> = {
  "POST /v1/jobs": "submitter",
  "GET /v1/jobs": "viewer",
  "GET /v1/jobs/x": "viewer",
  "GET /v1/jobs/x/spec": "viewer",
  "POST /v1/jobs/x/cancel": "submitter",
  "POST /v1/jobs/x/retry": "submitter",
  "GET /v1/jobs/x/attempts": "viewer",
  "GET /v1/jobs/x/events": "viewer",
  "GET /v1/jobs/x/tasks": "viewer",
  "GET /v1/jobs/x/task-briefs": "viewer",
  "GET /v1/jobs/x/tasks/x": "viewer",
  "POST /v1/jobs/x/tasks/x/cancel": "submitter",
  "POST /v1/jobs/x/tasks/x/retry": "submitter",
  "GET /v1/jobs/x/tasks/x/artifacts": "viewer",
  "GET /v1/jobs/x/tasks/x/artifacts/x/files": "viewer",
  "POST /v1/jobs/x/tasks/x/artifacts/live": "submitter",
  "GET /v1/jobs/x/tasks/x/artifacts/live/x": "viewer",
  "GET /v1/jobs/x/tasks/x/logs": "viewer",
  "GET /v1/jobs/x/tasks/x/logs/chunks": "viewer",
  "GET /v1/jobs/x/tasks/x/metrics": "viewer",
  "GET /v1/jobs/x/tasks/x/why": "viewer",
  "GET /v1/admin/dead-letters": "operator",
  "GET /v1/admin/dead-letters/x": "operator",
  "POST /v1/admin/redrive": "admin",
  "GET /v1/images": "viewer",
  "POST /v1/images": "submitter",
  "POST /v1/images/prune": "operator",
  "POST /v1/images/x/upload": "submitter",
  "POST /v1/images/x/upload/parts": "submitter",
  "POST /v1/images/x/upload/complete": "submitter",
  "GET /v1/secrets": "submitter",
  "GET /v1/secrets/x": "submitter",
  "PUT /v1/secrets/x": "operator",
  "DELETE /v1/secrets/x": "operator",
  "GET /v1/session": "viewer",
  "GET /v1/workers": "viewer",
  "GET /v1/workers/x": "viewer",
  "POST /v1/workers": "worker",
  "POST /v1/workers/x/heartbeat": "worker",
  "POST /v1/workers/x/claims": "worker",
  "POST /v1/workers/x/drain": "operator",
  "POST /v1/workers/x/undrain": "operator",
  "GET /v1/pools": "viewer",
  "PUT /v1/pools/x/desired": "operator",
  "POST /v1/admin/pools/x/forget": "admin",
  "GET /v1/history/events": "viewer",
  "GET /v1/overview": "viewer",
  "POST /v1/attempts/x/result": "worker",
  "POST /v1/attempts/results": "worker",
};
const allowed: Record<Role, readonly Role[]> = {
  viewer: ["viewer", "submitter", "operator", "admin"],
  submitter: ["submitter", "operator", "admin"],
  operator: ["operator", "admin"],
  admin: ["admin"],
  worker: ["worker"],
};

describe("every route", () => {
  it("is documented with the role it needs, and with what it answers when something is wrong", async () => {
    const operations = await listOperations();
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(Object.keys(roleByRoute).sort());
    for (const { operation } of operations) {
      expect(operation).toMatchObject({
        security: [{ token: [] }],
        responses: { default: { content: { "application/problem+json": {} } } },
      });
    }
  });

  it("is the whole of what is routed below /v1", async () => {
    const documented = new Set([...doors, ...(await listOperations()).map(({ method, path }) => `${method} ${path}`)]);
    const routed = app.routes.filter(({ method, path }) => method !== "ALL" && path.startsWith("/v1"));
    for (const { method, path } of routed) expect(documented).toContain(`${method} ${path.replaceAll(/:\w+/g, "x")}`);
  });

  it.each(Object.keys(roleByRoute))(
    "%s refuses a call without a token, or with one that is not known",
    async (route) => {
      const [method = "", path = ""] = route.split(" ");
      for (const authorization of [
        undefined,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nobody",
        "Basic dmlld2VyOg==",
        "viewer",
      ]) {
        const headers = authorization === undefined ? {} : { authorization };
        const response = await app.request(path, { method, headers });
        expect({ authorization, status: response.status }).toEqual({ authorization, status: 401 });
        expect(response.headers.get("www-authenticate")).toContain("Bearer");
        expect(response.headers.get("content-type")).toBe("application/problem+json");
        expect(await response.json()).toMatchObject({ status: 401, code: "unauthorized" });
      }
    },
  );

  it.each(Object.entries(roleByRoute))("%s is for the role %s and those above it", async (route, needed) => {
    const [method = "", path = ""] = route.split(" ");
    for (const role of roles) {
      const response = await app.request(path, { method, headers: { authorization: `Bearer ${role}` } });
      const passes = allowed[needed].includes(role);
      expect({ role, refused: response.status === 403 }).toEqual({ role, refused: !passes });
      if (!passes) expect(await response.json()).toMatchObject({ status: 403, code: "forbidden" });
    }
  });
});

describe("the OpenAPI document", () => {
  it("names no schema that it does not hold", async () => {
    const document = await readDocument();
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? "");
    expect(references.length).toBeGreaterThan(10);
    for (const reference of references) {
      expect(reference).toMatch(/^#\/components\/schemas\//);
      expect(Object.keys(document.components.schemas)).toContain(reference.split("/").at(-1));
    }
  });

  it("names each body of the API once and refers to it", async () => {
    const { components } = await readDocument();
    for (const name of ["SubmitJob", "SubmittedJob", "Job", "JobPage", "Task", "TaskPage", "EventPage", "LogPage"]) {
      expect(Object.keys(components.schemas)).toContain(name);
    }
    expect(Object.keys(components.schemas)).toContain("Problem");
  });

  it("describes each parameter of a path", async () => {
    const { paths } = await readDocument();
    for (const [path, operations] of Object.entries(paths)) {
      const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      for (const operation of Object.values(operations)) {
        const parameters = (operation.parameters ?? []) as { in: string; name: string }[];
        expect(parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name)).toEqual(names);
      }
    }
  });

  it("is readable as a page that loads nothing from elsewhere", async () => {
    const response = await app.request("/docs");
    const page = await response.text();
    for (const [path] of Object.entries((await readDocument()).paths)) expect(page).toContain(path);
    expect(page).not.toMatch(/https?:\/\//);
    expect(page).not.toContain("<script");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'self'");
  });
});

describe("the door", () => {
  const admin = { authorization: "Bearer admin" };

  it("says where to look where there is no such route", async () => {
    const response = await app.request("/v2/jobs");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "not_found", detail: expect.stringContaining("/docs") });
  });

  it("is open for the health of the service only", async () => {
    expect(await (await app.request("/healthz")).json()).toMatchObject({ status: "ok" });
    expect((await app.request("/readyz")).status).toBe(200);
    const away = { ...deps, tokens: { find: () => Promise.reject(new Error("away")) } } as unknown as Deps;
    const response = await createApp(away).request("/readyz");
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "unavailable" });
    expect((await createApp(away).request("/healthz")).status).toBe(200);
  });

  it("gives each request an id, the caller's where it is one", async () => {
    const idOf = async (sent?: string) => {
      const headers = sent === undefined ? {} : { "x-request-id": sent };
      const response = await app.request("/v1/jobs", { headers });
      const { requestId } = (await response.json()) as { requestId: string };
      expect(response.headers.get("x-request-id")).toBe(requestId);
      return requestId;
    };
    expect(await idOf("abc-1.2_3")).toBe("abc-1.2_3");
    for (const sent of [undefined, "", "x".repeat(200), "a b", "<script>"]) {
      expect(await idOf(sent)).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it("refuses a body that is too large, whether it says so or not", async () => {
    const large = JSON.stringify({ spec: "x".repeat(6 * 1024 * 1024) });
    const headers = { ...admin, "content-type": "application/json" };
    const told = await app.request("/v1/jobs", {
      method: "POST",
      headers: { ...headers, "content-length": `${large.length}` },
      body: large,
    });
    const untold = await app.request("/v1/jobs", { method: "POST", headers, body: large });
    for (const response of [told, untold]) {
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({ code: "payload_too_large" });
    }
  });

  it("refuses a body that is no JSON", async () => {
    for (const [body, type] of [
      ["{ half", "application/json"],
      ["", "application/json"],
    ] as const) {
      const response = await app.request("/v1/jobs", {
        method: "POST",
        headers: { ...admin, "content-type": type },
        body,
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ status: 400, code: expect.stringMatching(/^invalid_/) });
    }
  });

  it.each([
    ["text/yaml", "spec: 1"],
    ["application/x-www-form-urlencoded", "spec=1"],
    [undefined, "{}"],
  ])("answers 415 to a body of type %s, and says which it takes", async (type, body) => {
    // A body of bytes brings no content type of its own.
    const headers = { ...admin, ...(type === undefined ? {} : { "content-type": type }) };
    const sent = { method: "POST", headers, body: new TextEncoder().encode(body) };
    const response = await app.request("/v1/jobs", sent);
    expect(response.status).toBe(415);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toMatchObject({
      code: "unsupported_media_type",
      detail: expect.stringContaining("Content-Type: application/json"),
    });
  });

  it.each([
    ["DELETE", "/v1/jobs", "GET, HEAD, POST"],
    ["PUT", "/v1/jobs/j/tasks/t/why", "GET, HEAD"],
    ["GET", "/v1/jobs/j/cancel", "POST"],
    ["POST", "/healthz", "GET, HEAD"],
    ["POST", "/openapi.json", "GET, HEAD"],
  ])("answers 405 to %s %s, and says what is allowed", async (method, path, allow) => {
    const response = await app.request(path, { method, headers: admin });
    expect({ status: response.status, allow: response.headers.get("allow") }).toEqual({ status: 405, allow });
    expect(await response.json()).toMatchObject({ code: "method_not_allowed", detail: expect.stringContaining(allow) });
  });

  it("keeps to the size of a body that is configured", async () => {
    const small = createApp({ ...deps, limits: { ...defaultLimits, requestBodyBytes: 1000 } });
    const headers = { ...admin, "content-type": "application/json" };
    const body = JSON.stringify({ spec: "x".repeat(1000) });
    const response = await small.request("/v1/jobs", { method: "POST", headers, body });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({
      code: "payload_too_large",
      detail: expect.stringContaining("at most 1000 bytes"),
    });
  });

  it("lists every mistake of a job at its place", async () => {
    const spec = {
      name: "Bad Name",
      surprise: true,
      steps: [{ kind: "process", name: "s" }],
      tasks: [{ name: "a" }, { name: "a" }, { name: "b", slots: 0 }],
    };
    const headers = { ...admin, "content-type": "application/json" };
    const response = await app.request("/v1/jobs", { method: "POST", headers, body: JSON.stringify({ spec }) });
    expect(response.status).toBe(400);
    const problem = (await response.json()) as { code: string; problems: { path: string; message: string }[] };
    expect(problem.code).toBe("invalid_job");
    expect(problem.problems.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["spec.name", "spec", "spec.steps[0].entry", "spec.tasks[2].slots"]),
    );
    expect(problem.problems.every(({ message }) => message.length > 0)).toBe(true);
  });

  it("tells a fault of its own without its details", async () => {
    const secret = {
      ...deps,
      jobs: { getDigest: () => Promise.reject(new Error("password in here")) },
    } as unknown as Deps;
    const response = await createApp(secret).request("/v1/jobs/x", { headers: admin });
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code: "internal", requestId: expect.any(String) });
    expect(text).not.toContain("password");
  });
});
