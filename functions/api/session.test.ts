import { describe, expect, it } from "vitest";
import { consoleHeader } from "../../shared/domain/console-session.ts";
import { defaultLimits } from "../../shared/domain/limits.ts";
import { createLogger } from "../../shared/log.ts";
import type { Deps } from "../deps.ts";
import { createApp } from "./app.ts";

const app = createApp({
  tokens: { find: async (token: string) => (token === "secret" ? { name: "ann", role: "operator" } : undefined) },
  workers: { requestDrain: async () => false },
  limits: defaultLimits,
  log: createLogger("test", { level: "silent" }),
  now: Date.now,
} as unknown as Deps);

const origin = "http://127.0.0.1:4400";
const drainPath = "/v1/workers/w-1/drain";

function signIn(token: string, from = origin): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return Promise.resolve(
    app.request(`${from}/v1/session`, { method: "POST", headers, body: JSON.stringify({ token }) }),
  );
}

async function takeCookie(from = origin): Promise<string> {
  const cookie = (await signIn("secret", from)).headers.get("set-cookie") ?? "";
  return cookie.split(";", 1)[0] ?? "";
}

async function read(path: string, headers: Record<string, string>, method = "GET", from = origin) {
  const response = await app.request(`${from}${path}`, { method, headers });
  const body = response.status === 204 ? undefined : ((await response.json()) as Record<string, unknown>);
  return { status: response.status, body, cookie: response.headers.get("set-cookie") };
}

describe("a browser that signs in", () => {
  it("gets a cookie that no script and no other site can use, on a secure origin over TLS only", async () => {
    const local = (await signIn("secret")).headers.get("set-cookie");
    expect(local).toMatch(/^sluice-4400=secret; Max-Age=\d+; Path=\/v1; HttpOnly; SameSite=Strict$/);
    const secure = (await signIn("secret", "https://sluice.example")).headers.get("set-cookie");
    expect(secure).toMatch(/^sluice=secret; Max-Age=\d+; Path=\/v1; HttpOnly; Secure; SameSite=Strict$/);
  });

  it("is told who it is, and gets no cookie for a token that is not known", async () => {
    expect(await (await signIn("secret")).json()).toEqual({ name: "ann", role: "operator" });
    const refused = await signIn("guess");
    expect(refused.status).toBe(401);
    expect(refused.headers.get("set-cookie")).toBeNull();
  });

  it("calls by its cookie", async () => {
    const cookie = await takeCookie();
    expect(await read("/v1/session", { cookie })).toMatchObject({ status: 200, body: { name: "ann" } });
    expect(await read("/v1/session", {})).toMatchObject({ status: 401 });
    expect(await read("/v1/session", { cookie: "sluice-4400=guess" })).toMatchObject({ status: 401 });
  });

  it("has a session for each port of a host", async () => {
    const cookie = await takeCookie();
    expect(await read("/v1/session", { cookie }, "GET", "http://127.0.0.1:4500")).toMatchObject({ status: 401 });
  });

  it("changes nothing without the header that pages of other origins cannot send", async () => {
    const cookie = await takeCookie();
    expect(await read(drainPath, { cookie }, "POST")).toMatchObject({ status: 403, body: { code: "forbidden" } });
    const own = { cookie, [consoleHeader.name]: consoleHeader.value };
    expect(await read(drainPath, own, "POST")).toMatchObject({ status: 202 });
  });

  it("needs no such header beside a token of its own", async () => {
    expect(await read(drainPath, { authorization: "Bearer secret" }, "POST")).toMatchObject({ status: 202 });
  });

  it("forgets its token when it signs out", async () => {
    expect(await read("/v1/session", {}, "DELETE")).toMatchObject({
      status: 204,
      cookie: "sluice-4400=; Max-Age=0; Path=/v1; HttpOnly; SameSite=Strict",
    });
  });
});
