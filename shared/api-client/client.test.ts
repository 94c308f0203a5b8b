import { describe, expect, it } from "vitest";
import type { Job } from "../api/schemas.ts";
import type { JobSpecInput } from "../jobfile/job-spec.ts";
import { createApiClient } from "./client.ts";
import { ApiError, ConnectionError } from "./errors.ts";
import type { TransportOptions } from "./transport.ts";

const url = "http://control.test";
const spec: JobSpecInput = {
  name: "hello",
  steps: [{ kind: "process", name: "step-1", entry: { run: "true" } }],
  tasks: [{ name: "unit" }],
};

interface Sent {
  method: string;
  path: string;
  headers: Headers;
  body: string;
}

type Answer = Response | Error | ((request: Sent, signal: AbortSignal) => Response | Promise<Response>);

/** A client whose requests are answered from a list, in order; what it sent is kept. */
function scriptClient(answers: Answer[], options: Partial<TransportOptions> = {}) {
  const sent: Sent[] = [];
  const answerNext = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const { pathname, search } = new URL(String(input));
    const request = {
      method: init.method ?? "GET",
      path: pathname + search,
      headers: new Headers(init.headers),
      body: String(init.body ?? ""),
    };
    sent.push(request);
    const answer = answers.shift();
    if (answer === undefined) throw new Error("the script has no further answer");
    if (answer instanceof Error) throw answer;
    return typeof answer === "function" ? answer(request, init.signal ?? new AbortController().signal) : answer;
  };
  const backoff = { firstMs: 1, longestMs: 1 };
  const client = createApiClient({
    url,
    token: "secret-token",
    fetch: answerNext as typeof fetch,
    backoff,
    ...options,
  });
  return { client, sent };
}

function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
}

function problem(status: number, code: string, extra: object = {}, headers: Record<string, string> = {}): Response {
  const body = { type: "about:blank", title: code, status, code, detail: `refused: ${code}`, ...extra };
  return json(body, status, { "content-type": "application/problem+json", ...headers });
}

function systemError(code: string, message = code): TypeError {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(message), { code }) });
}

describe("a call", () => {
  it("carries the token, names what it wants and leaves absent parts of a query out", async () => {
    const { client, sent } = scriptClient([json({ jobs: [] })], { userAgent: "sluice/1" });
    await client.listJobs({ status: "failed", name: undefined, limit: 5 });
    expect(sent[0]?.path).toBe("/v1/jobs?status=failed&limit=5");
    expect(sent[0]?.headers.get("authorization")).toBe("Bearer secret-token");
    expect(sent[0]?.headers.get("user-agent")).toBe("sluice/1");
  });

  it("keeps names apart from the path around them", async () => {
    const { client, sent } = scriptClient([json({})]);
    await client.getTask("a/b", "c?d");
    expect(sent[0]?.path).toBe("/v1/jobs/a%2Fb/tasks/c%3Fd");
  });

  it("throws what the API says as an ApiError with its code, request and problems", async () => {
    const problems = [{ path: "spec.steps", message: "is empty" }];
    const { client } = scriptClient([problem(400, "invalid_job", { requestId: "r-1", problems })]);
    const error = await client.submitJob(spec, { idempotencyKey: "k" }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 400, code: "invalid_job", requestId: "r-1", problems });
  });

  it("tells an answer that is not the API's own apart", async () => {
    const { client } = scriptClient([
      new Response("<html>", { status: 404, headers: { "content-type": "text/html" } }),
    ]);
    await expect(client.getJob("j")).rejects.toMatchObject({ code: "unexpected_answer", status: 404 });
  });

  it("tells a page in place of JSON apart, also with status 200", async () => {
    const { client } = scriptClient([new Response("<html>", { headers: { "content-type": "text/html" } })]);
    await expect(client.getJob("j")).rejects.toMatchObject({ code: "unexpected_answer", status: 200 });
  });
});

describe("retries", () => {
  it("repeat a read after 503, 429 and a broken connection", async () => {
    const answers = [
      problem(503, "unavailable"),
      problem(429, "unavailable"),
      systemError("ECONNRESET"),
      json({ job: "j" }),
    ];
    const { client, sent } = scriptClient(answers);
    await expect(client.getJob("j")).resolves.toEqual({ job: "j" });
    expect(sent).toHaveLength(4);
  });

  it("repeat a submit with the same Idempotency-Key and the same body", async () => {
    const { client, sent } = scriptClient([
      systemError("ECONNRESET"),
      problem(500, "internal"),
      json({ job: "j" }, 201),
    ]);
    await client.submitJob(spec, { idempotencyKey: "key-1" });
    expect(sent.map(({ headers }) => headers.get("idempotency-key"))).toEqual(["key-1", "key-1", "key-1"]);
    expect(new Set(sent.map(({ body }) => body)).size).toBe(1);
  });

  it("end after a few tries with the last error", async () => {
    const { client, sent } = scriptClient(Array.from({ length: 9 }, () => problem(503, "unavailable")));
    await expect(client.getJob("j")).rejects.toMatchObject({ status: 503 });
    expect(sent).toHaveLength(4);
  });

  it("are not made where the caller has to mend something", async () => {
    const { client, sent } = scriptClient([problem(404, "not_found")]);
    await expect(client.getJob("j")).rejects.toMatchObject({ status: 404 });
    expect(sent).toHaveLength(1);
  });

  it("wait as long as the server asks for", async () => {
    const delays: number[] = [];
    const answers = [problem(429, "unavailable", {}, { "retry-after": "0.003" }), json({})];
    const { client } = scriptClient(answers, { onRetry: (_error, delayMs) => delays.push(delayMs) });
    await client.getJob("j");
    expect(delays).toEqual([3]);
  });

  it("stop when the caller gives up", async () => {
    const controller = new AbortController();
    const onRetry = (): void => controller.abort(new Error("enough"));
    const { client, sent } = scriptClient([problem(503, "unavailable"), json({})], { onRetry });
    await expect(client.getJob("j", { signal: controller.signal })).rejects.toThrow("enough");
    expect(sent).toHaveLength(1);
  });
});

describe("a control plane that does not answer", () => {
  it.each([
    ["ECONNREFUSED", "refused"],
    ["ENOTFOUND", "not_found"],
    ["UND_ERR_CONNECT_TIMEOUT", "timeout"],
    ["CERT_HAS_EXPIRED", "tls"],
    ["EWHATEVER", "other"],
  ])("is told by what happened: %s is %s", async (code, kind) => {
    const { client, sent } = scriptClient([systemError(code)]);
    const error = await client.getJob("j").catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ kind, url });
    expect(sent).toHaveLength(1);
  });

  it("is recognised behind the errors of several addresses", async () => {
    const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    const { client } = scriptClient([new TypeError("fetch failed", { cause: new AggregateError([refused, refused]) })]);
    await expect(client.getJob("j")).rejects.toMatchObject({ kind: "refused" });
  });

  it("is given up at the deadline", async () => {
    const hang = (_request: Sent, signal: AbortSignal) =>
      new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const { client } = scriptClient([hang], { callTimeoutMs: 5 });
    await expect(client.getJob("j")).rejects.toMatchObject({ kind: "timeout" });
  });
});

describe("paging", () => {
  const job = (id: string): Job => ({ job: id }) as Job;

  it("reads page by page, and only as far as it is taken", async () => {
    const answers = [json({ jobs: [job("a"), job("b")], cursor: "c1" }), json({ jobs: [job("c")], cursor: "c2" })];
    const { client, sent } = scriptClient(answers);
    const seen: string[] = [];
    for await (const { job: id } of client.eachJob({ limit: 2 })) {
      seen.push(id);
      if (id === "c") break;
    }
    expect(seen).toEqual(["a", "b", "c"]);
    expect(sent.map(({ path }) => path)).toEqual(["/v1/jobs?limit=2", "/v1/jobs?limit=2&cursor=c1"]);
  });

  it("does not go round in circles when a cursor comes twice", async () => {
    const answers = [json({ tasks: [], cursor: "x" }), json({ tasks: [], cursor: "x" })];
    const { client } = scriptClient(answers);
    await expect(Array.fromAsync(client.eachTask("j"))).rejects.toMatchObject({ code: "unexpected_answer" });
  });
});
