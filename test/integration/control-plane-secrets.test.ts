import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { SecretPage, Task } from "../../shared/api/schemas.ts";
import { timing } from "../../shared/domain/timing.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";

const plane = useControlPlane();
const value = "correct-horse-battery-staple";
const setSecret = (name: string, secret = value) =>
  plane().call(`/v1/secrets/${encodeURIComponent(name)}`, { method: "PUT", body: { value: secret } });
const needsSecret = { secrets: { DB_PASSWORD: "prod/db-password" } };

async function claim(jobId: string, task = "a") {
  const [answer] = await plane()
    .createWorker()
    .claim([{ jobId, task, bucket: 0 }]);
  return answer;
}

describe("secrets in the API", () => {
  it("are set, listed, described, replaced and removed; no answer and no log line holds a value", async () => {
    const answers: string[] = [];
    const call = async (path: string, method: "GET" | "PUT" | "DELETE", body?: unknown) => {
      const response = await plane().request(path, { method, ...(body === undefined ? {} : { body }) });
      const text = await response.text();
      answers.push(text, JSON.stringify([...response.headers]));
      return { status: response.status, body: JSON.parse(text) as Record<string, unknown> };
    };
    expect(await call("/v1/secrets/prod%2Fdb-password", "GET")).toMatchObject({ status: 404 });
    expect(await call("/v1/secrets/prod%2Fdb-password", "PUT", { value })).toMatchObject({
      status: 200,
      body: { name: "prod/db-password", updatedBy: "test-admin" },
    });
    // A proxy on the way may take the encoding off.
    expect(await call("/v1/secrets/prod/db-password", "GET")).toMatchObject({ body: { name: "prod/db-password" } });
    expect(await call("/v1/secrets/prod/db-password", "PUT", { value: `${value}2` })).toMatchObject({ status: 200 });
    const page = (await call("/v1/secrets", "GET")).body as unknown as SecretPage;
    expect(page.secrets).toMatchObject([{ name: "prod/db-password", updatedBy: "test-admin" }]);
    expect(await call("/v1/secrets/prod%2Fdb-password", "DELETE")).toMatchObject({ status: 200 });
    expect(await call("/v1/secrets/prod%2Fdb-password", "DELETE")).toMatchObject({ status: 404 });
    expect(answers.join("\n") + JSON.stringify(plane().logLines)).not.toContain(value);
    const audit = plane().logLines.filter((line) => "audit" in line);
    expect(audit.map(({ audit, secret, by }) => `${audit} ${secret} ${by}`)).toEqual([
      "secret.set prod/db-password test-admin",
      "secret.set prod/db-password test-admin",
      "secret.removed prod/db-password test-admin",
    ]);
  });

  it("have no name that leads anywhere else", async () => {
    const climbing = ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "a%2F..%2Fb", "a%5Cb"];
    for (const name of [...climbing, "Upper", "a%00b", "a.b", "x".repeat(257)]) {
      for (const method of ["GET", "PUT", "DELETE"] as const) {
        const body = method === "PUT" ? { body: { value } } : {};
        const response = await plane().request(`/v1/secrets/${name}`, { method, ...body });
        expect({ name, method, status: response.status }).toEqual({ name, method, status: 400 });
      }
    }
  });

  it("hold no value that a step could not get, and the refusal does not repeat it", async () => {
    for (const body of [{}, { value: "" }, { value: 5 }, { value: "ä".repeat(4097) }, { value: "secret-part\0x" }]) {
      const response = await plane().request("/v1/secrets/a", { method: "PUT", body });
      expect(response.status).toBe(400);
      expect(await response.text()).not.toMatch(/ää|secret-part/);
    }
  });

  it("are set by operators, seen by submitters", async () => {
    const status = async (method: "GET" | "PUT", role: "viewer" | "submitter" | "operator") =>
      (await plane().request("/v1/secrets/roles", { method, role, ...(method === "PUT" ? { body: { value } } : {}) }))
        .status;
    expect(await status("PUT", "submitter")).toBe(403);
    expect(await status("PUT", "operator")).toBe(200);
    expect(await status("GET", "viewer")).toBe(403);
    expect(await status("GET", "submitter")).toBe(200);
  });
});

describe("a task that needs a secret", () => {
  it("gets its value with the claim, and nothing else holds it", async () => {
    await setSecret("prod/db-password");
    const jobId = await plane().submit(noopJob(["a"], needsSecret));
    const [delivery] = await plane().createWorker().receive(1);
    const answer = await claim(jobId);
    expect(answer).toMatchObject({ status: "claimed", secrets: { DB_PASSWORD: value }, env: {} });
    await plane().foldAll();
    const seen = [
      delivery,
      await plane().call(`/v1/jobs/${jobId}`),
      await plane().call(`/v1/jobs/${jobId}/tasks/a`),
      await plane().call(`/v1/jobs/${jobId}/events`),
      await plane().deps.jobs.getSpec(jobId),
      plane().logLines,
    ];
    expect(JSON.stringify(seen)).not.toContain(value);
  });

  it("fails with the name of the secret where there is none, before anything starts", async () => {
    const secrets = { AA: "missing/one", BB: "missing/two", CC: "there" };
    await setSecret("there");
    const jobId = await plane().submit(noopJob(["a"], { secrets, abort: "on-error" }));
    expect(await claim(jobId)).toMatchObject({ status: "drop" });
    await plane().foldAll();
    const task = await plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`);
    expect(task).toMatchObject({
      status: "failed",
      attempt: 0,
      reason: {
        code: "secret_missing",
        fault: "user",
        detail: expect.stringMatching(
          /there are no secrets missing\/one, missing\/two: .*sluice secrets set missing\/one/,
        ),
      },
    });
    expect(await plane().call(`/v1/jobs/${jobId}`)).toMatchObject({ status: "failed" });
  });

  it("gets the credentials of registries beside them, where the job names some", async () => {
    await setSecret("ci/registries", '{"auths":{}}');
    const jobId = await plane().submit(noopJob(["a"], { registryAuth: "ci/registries" }));
    expect(await claim(jobId)).toMatchObject({ status: "claimed", secrets: {}, registryAuth: '{"auths":{}}' });
    const without = await plane().submit(noopJob(["a"], { registryAuth: "ci/none" }));
    expect(await claim(without)).toMatchObject({ status: "drop", detail: expect.stringContaining("ci/none") });
  });

  it("fails also where its secret was removed while an attempt before was lost", async () => {
    await setSecret("short-lived");
    const jobId = await plane().submit(noopJob(["a"], { secrets: { AA: "short-lived" } }));
    expect(await claim(jobId)).toMatchObject({ status: "claimed" });
    await plane().call("/v1/secrets/short-lived", { method: "DELETE" });
    plane().clock.advance(timing.leaseMs + 1);
    expect(await claim(jobId)).toMatchObject({ status: "drop" });
    await plane().foldAll();
    expect(await plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`)).toMatchObject({
      status: "failed",
      reason: { code: "secret_missing" },
    });
  });

  it("waits where the store does not answer", async () => {
    await setSecret("prod/db-password");
    const jobId = await plane().submit(noopJob(["a"], needsSecret));
    const broken = {
      ...plane().deps,
      secrets: { ...plane().deps.secrets, get: () => Promise.reject(new Error("away")) },
    };
    const claims = { claims: [{ jobId, task: "a", bucket: 0, leaseToken: randomUUID() }] };
    const path = `/v1/workers/${plane().createWorker().workerId}/claims`;
    const answer = await plane().call(path, { body: claims, role: "worker", app: broken });
    expect(answer).toMatchObject({ claims: [{ status: "wait" }] });
    expect(await claim(jobId)).toMatchObject({ status: "claimed" });
  });

  it("gets a new value at once where this process set it, and soon where another did", async () => {
    await setSecret("rotated", "first-value");
    const jobId = await plane().submit(noopJob(["a", "b", "c", "d"], { secrets: { AA: "rotated" } }));
    expect(await claim(jobId, "a")).toMatchObject({ secrets: { AA: "first-value" } });
    await setSecret("rotated", "second-value");
    expect(await claim(jobId, "b")).toMatchObject({ secrets: { AA: "second-value" } });
    const other = plane().startProcess();
    await other.secrets.put({ name: "rotated", updatedAt: new Date().toISOString() }, "third-value");
    expect(await claim(jobId, "c")).toMatchObject({ secrets: { AA: "second-value" } });
    plane().clock.advance(10_001);
    expect(await claim(jobId, "d")).toMatchObject({ secrets: { AA: "third-value" } });
  });
});
