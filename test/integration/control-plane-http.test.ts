import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { Writable } from "node:stream";
import type { APIGatewayProxyEventV2, Context } from "aws-lambda";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { createFunctionUrl, installStreamingRuntime } from "../../local/lambda/http-function.ts";

type Fetch = (request: Request) => Response | Promise<Response>;
type Handler = (event: APIGatewayProxyEventV2, answer: Writable, context: Context) => Promise<void>;

let createStreamingHandler: (fetch: Fetch) => unknown;
let server: Server | undefined;
const errors: unknown[] = [];
let calls = 0;

beforeAll(async () => {
  installStreamingRuntime();
  ({ createStreamingHandler } = await import("../../functions/api/lambda-adapter.ts"));
});

afterEach(async () => {
  errors.length = 0;
  calls = 0;
  server?.closeAllConnections();
  if (server?.listening) await new Promise((resolve) => server?.close(resolve));
});

async function serve(handler: Handler): Promise<string> {
  server = createServer(
    createFunctionUrl("test", handler as never, {
      onError: (error) => errors.push(error),
      afterCall: () => {
        calls += 1;
      },
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serveApp = (fetch: Fetch) => serve(createStreamingHandler(fetch) as Handler);

describe("a web application behind a function URL", () => {
  it("sees the request as it was sent", async () => {
    const url = await serveApp(async (request) =>
      Response.json({
        method: request.method,
        path: new URL(request.url).pathname,
        query: new URL(request.url).search,
        header: request.headers.get("x-test"),
        cookie: request.headers.get("cookie"),
        body: await request.text(),
      }),
    );
    const response = await fetch(`${url}/v1/j%20obs?a=1&b=%2F?&c`, {
      method: "POST",
      headers: { "x-test": "ä".normalize("NFC").charCodeAt(0).toString(), cookie: "a=1; b=2" },
      body: "tëxt",
    });
    expect(await response.json()).toEqual({
      method: "POST",
      path: "/v1/j%20obs",
      query: "?a=1&b=%2F?&c",
      header: "228",
      cookie: "a=1; b=2",
      body: "tëxt",
    });
  });

  it("takes bytes that are no text", async () => {
    const url = await serveApp(async (request) => new Response(await request.arrayBuffer()));
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    const response = await fetch(url, { method: "POST", body: bytes });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
  });

  it("answers with its status, headers and cookies, and without a body where there is none", async () => {
    const url = await serveApp(() => {
      const headers = new Headers({ "x-own": "1" });
      headers.append("set-cookie", "a=1");
      headers.append("set-cookie", "b=2");
      return new Response(null, { status: 204, headers });
    });
    const response = await fetch(url);
    expect(response.status).toBe(204);
    expect(response.headers.get("x-own")).toBe("1");
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  });

  it("does not hand headers of the connection on to a platform that has its own", async () => {
    let answered: Record<string, string> | undefined;
    const url = await serve(async (event, answer, context) => {
      const handler = createStreamingHandler(
        () => new Response("x", { headers: { "transfer-encoding": "chunked", connection: "close", "x-own": "1" } }),
      ) as Handler;
      await handler(event, answer, context);
      answered = (answer as unknown as { prelude: { headers: Record<string, string> } }).prelude.headers;
    });
    await (await fetch(url)).text();
    expect(answered).toMatchObject({ "x-own": "1" });
    expect(Object.keys(answered ?? {})).not.toContain("transfer-encoding");
    expect(Object.keys(answered ?? {})).not.toContain("connection");
  });

  it("streams: what it has sent arrives before it is done", async () => {
    const more = Promise.withResolvers<void>();
    async function* body() {
      yield new TextEncoder().encode("first");
      await more.promise;
      yield new TextEncoder().encode("second");
    }
    const url = await serveApp(() => new Response(ReadableStream.from(body())));
    const reader = (await fetch(url)).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("first");
    more.resolve();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("second");
    expect((await reader?.read())?.done).toBe(true);
  });

  it("stops its stream when the client goes away, and that is no error", async () => {
    const stopped = Promise.withResolvers<void>();
    async function* body() {
      try {
        for (;;) {
          yield new TextEncoder().encode("x".repeat(1000));
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      } finally {
        stopped.resolve();
      }
    }
    const url = await serveApp(() => new Response(ReadableStream.from(body())));
    const client = new AbortController();
    const reader = (await fetch(url, { signal: client.signal })).body?.getReader();
    await reader?.read();
    client.abort();
    await stopped.promise;
    while (calls === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(errors).toEqual([]);
  });

  it("breaks the answer off where its stream fails, so that half of it is not taken for the whole", async () => {
    async function* body() {
      yield new TextEncoder().encode("half");
      throw new Error("the bucket is away");
    }
    const url = await serveApp(() => new Response(ReadableStream.from(body())));
    await expect(fetch(url).then((response) => response.text())).rejects.toThrow();
    expect(errors).toHaveLength(1);
  });
});

describe("a function that fails", () => {
  it("before it answered is answered for with a problem document", async () => {
    const url = await serve(async () => {
      throw new Error("no memory");
    });
    const response = await fetch(url);
    expect(response.status).toBe(502);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toMatchObject({ status: 502, code: "unavailable" });
    expect(errors).toHaveLength(1);
  });

  it("after it began to answer leaves a broken answer, not one that looks whole", async () => {
    const url = await serve(async (_event, answer) => {
      Object.assign(answer, { prelude: { statusCode: 200 } });
      answer.write("half");
      await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error("no memory");
    });
    await expect(fetch(url).then((response) => response.text())).rejects.toThrow();
    expect(errors).toHaveLength(1);
  });
});

describe("a request that is too large", () => {
  it("is refused as the platform refuses it, and the function is not called", async () => {
    let called = false;
    const url = await serve(async () => {
      called = true;
    });
    const response = await fetch(url, { method: "POST", body: Buffer.alloc(6 * 1024 * 1024 + 1) });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: "payload_too_large" });
    expect(called).toBe(false);
  });

  it("that never ends is given up with its client", async () => {
    const url = new URL(await serve(async () => undefined));
    const socket = connect(Number(url.port), "127.0.0.1");
    await once(socket, "connect");
    socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
    socket.destroy();
    while (calls === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(errors).toEqual([]);
  });
});
