import { describe, expect, it } from "vitest";
import { examine, type ProbeAnswer } from "./checks.ts";

const nowMs = Date.parse("2026-01-05T08:00:00Z");

interface Plane {
  [path: string]: { status?: number; headers?: Record<string, string>; body?: unknown };
}

const well: Plane = {
  "/healthz": { body: { status: "ok", version: "1.0.0" } },
  "/readyz": { body: { status: "ready", version: "1.0.0" } },
  "/v1/jobs": { body: { jobs: [{ pool: "default", status: "running" }] } },
  "/v1/workers": { body: { workers: [{ pool: "default", state: "alive", lastSeenAt: "2026-01-05T07:59:58Z" }] } },
  "/v1/admin/dead-letters": { body: { deadLetters: [] } },
};

async function look(change: Plane = {}, hasToken = true): Promise<Record<string, string>> {
  const plane: Plane = { ...well, ...change };
  const probe = async (path: string): Promise<ProbeAnswer> => {
    const { status = 200, headers = {}, body } = plane[path.split("?")[0] ?? ""] ?? {};
    const standard = { date: new Date(nowMs).toUTCString(), "cache-control": "no-store" };
    return { status, headers: new Headers({ ...standard, ...headers }), body };
  };
  const findings = await examine({ probe, now: () => nowMs, version: "1.0.0", hasToken });
  return Object.fromEntries(findings.map(({ check, status, detail }) => [check, `${status}: ${detail}`]));
}

describe("sluice doctor", () => {
  it("finds nothing wrong with a control plane that is well", async () => {
    const findings = await look();
    expect(Object.values(findings).filter((finding) => !finding.startsWith("ok"))).toEqual([]);
    expect(Object.keys(findings)).toEqual(["API", "clock", "table", "caches", "token", "workers", "dead letters"]);
  });

  it("says that nobody answers, and stops there", async () => {
    const probe = () => Promise.reject(new Error("connect ECONNREFUSED"));
    const findings = await examine({ probe, now: () => nowMs, version: "1", hasToken: true });
    expect(findings).toEqual([
      { check: "API", status: "failed", detail: "does not answer: connect ECONNREFUSED; check --url or SLUICE_URL" },
    ]);
  });

  it("tells another program from Sluice, and another version from its own", async () => {
    expect((await look({ "/healthz": { body: "<html>" } })).API).toMatch(
      /^failed: answers 200, and not as Sluice does/,
    );
    expect((await look({ "/healthz": { body: { version: "2.0.0" } } })).API).toBe(
      "warning: version 2.0.0, this CLI is 1.0.0",
    );
  });

  it.each([
    ["Mon, 05 Jan 2026 07:59:00 GMT", "60 s"],
    ["Mon, 05 Jan 2026 08:02:00 GMT", "120 s"],
  ])("notices a clock that says %s", async (date, by) => {
    expect((await look({ "/healthz": { ...well["/healthz"], headers: { date } } })).clock).toContain(`by ${by}`);
  });

  it("notices a cache in front of the API", async () => {
    const headers = { "cache-control": "public, max-age=60" };
    expect((await look({ "/healthz": { ...well["/healthz"], headers } })).caches).toMatch(/^failed/);
  });

  it("says what is wrong with the table or the token, in the API's own words", async () => {
    const away = { status: 503, body: { code: "unavailable", detail: "the table does not answer; try again" } };
    expect((await look({ "/readyz": away })).table).toBe("failed: unavailable: the table does not answer; try again");
    const unknown = { status: 401, body: { code: "unauthorized", detail: "this token is not known here" } };
    const findings = await look({ "/v1/jobs": unknown });
    expect(findings.token).toBe("failed: unauthorized: this token is not known here");
    expect(findings).not.toHaveProperty("workers");
  });

  it("looks no further without a token, and leaves out what a token may not see", async () => {
    expect(Object.keys(await look({}, false)).at(-1)).toBe("token");
    const forbidden = { status: 403, body: { code: "forbidden", detail: "no" } };
    expect((await look({ "/v1/admin/dead-letters": forbidden }))["dead letters"]).toMatch(/^skipped/);
  });

  it("finds jobs that wait where no worker is alive", async () => {
    const silent = { body: { workers: [{ pool: "default", state: "alive", lastSeenAt: "2026-01-05T07:50:00Z" }] } };
    expect((await look({ "/v1/workers": silent })).workers).toBe(
      "failed: jobs wait in default, where no worker is alive",
    );
    const idle = { body: { jobs: [{ pool: "default", status: "completed" }] } };
    expect((await look({ "/v1/workers": silent, "/v1/jobs": idle })).workers).toBe(
      "ok: none is alive, and no job waits",
    );
  });

  it("looks at all pages of workers", async () => {
    const page = (path: string) =>
      path.includes("cursor")
        ? { workers: [{ pool: "default", state: "alive", lastSeenAt: "2026-01-05T07:59:58Z" }] }
        : { workers: [], cursor: "next" };
    const probe = async (path: string): Promise<ProbeAnswer> => ({
      status: 200,
      headers: new Headers({ "cache-control": "no-store" }),
      body: path.startsWith("/v1/workers") ? page(path) : well[path.split("?")[0] ?? ""]?.body,
    });
    const findings = await examine({ probe, now: () => nowMs, version: "1.0.0", hasToken: true });
    expect(findings.find(({ check }) => check === "workers")).toMatchObject({ detail: "1 alive in default" });
  });

  it("tells of dead letters", async () => {
    const some = { body: { deadLetters: Array.from({ length: 10 }, () => ({})) } };
    expect((await look({ "/v1/admin/dead-letters": some }))["dead letters"]).toContain("10 or more");
  });
});
