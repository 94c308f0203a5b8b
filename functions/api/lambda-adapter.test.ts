import { Writable } from "node:stream";
import type { APIGatewayProxyEventV2, Context } from "aws-lambda";
import { beforeEach, describe, expect, it } from "vitest";
import { createStreamingHandler } from "./lambda-adapter.ts";

type WriteDone = (error: Error | null | undefined) => void;

/** A stream as the Lambda runtime makes it: the prelude goes out before the first write, and without one not at all. */
class RuntimeStream extends Writable {
  readonly sent: string[] = [];
  beforeFirstWrite: (() => void) | undefined;

  override write(chunk: unknown, encodingOrDone?: BufferEncoding | WriteDone, done?: WriteDone): boolean {
    this.beforeFirstWrite?.();
    this.beforeFirstWrite = undefined;
    return super.write(chunk, encodingOrDone as BufferEncoding, done);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (chunk.byteLength > 0) this.sent.push(chunk.toString("utf8"));
    done();
  }
}

beforeEach(() => {
  Object.assign(globalThis, {
    awslambda: {
      streamifyResponse: (handler: unknown) => handler,
      HttpResponseStream: {
        from(stream: RuntimeStream, prelude: object) {
          stream.beforeFirstWrite = () => stream.sent.push(JSON.stringify(prelude));
          return stream;
        },
      },
    },
  });
});

type Handler = (event: APIGatewayProxyEventV2, stream: Writable, context: Context) => Promise<void>;
const call1 = { awsRequestId: "call-1" } as Context;

function toEvent(overrides: Partial<APIGatewayProxyEventV2> = {}): APIGatewayProxyEventV2 {
  return {
    headers: { host: "api.example" },
    rawPath: "/v1/jobs",
    rawQueryString: "",
    isBase64Encoded: false,
    requestContext: { http: { method: "GET" }, domainName: "api.example" },
    ...overrides,
  } as APIGatewayProxyEventV2;
}

async function call(fetch: (request: Request) => Response | Promise<Response>, event = toEvent()): Promise<string[]> {
  const stream = new RuntimeStream();
  const handler = createStreamingHandler(fetch) as unknown as Handler;
  await handler(event, stream, call1);
  return stream.sent;
}

describe("createStreamingHandler", () => {
  it("sends status and headers of an answer without a body", async () => {
    const [prelude, ...rest] = await call(() => new Response(null, { status: 204, headers: { "x-request-id": "r1" } }));
    expect(JSON.parse(prelude ?? "")).toEqual({ statusCode: 204, headers: { "x-request-id": "r1" }, cookies: [] });
    expect(rest).toEqual([]);
  });

  it("sends status and headers of a stream before it has anything to say", async () => {
    const { promise: silence, resolve: speak } = Promise.withResolvers<void>();
    const body = new ReadableStream({
      async start(controller) {
        await silence;
        controller.enqueue(new TextEncoder().encode("data: 1\n\n"));
        controller.close();
      },
    });
    const stream = new RuntimeStream();
    const handler = createStreamingHandler(() => new Response(body)) as unknown as Handler;
    const done = handler(toEvent(), stream, call1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(stream.sent).toHaveLength(1);
    speak();
    await done;
    expect(stream.sent[1]).toBe("data: 1\n\n");
  });

  it("hands over method, path, query, cookies and a body in base64", async () => {
    const seen: unknown[] = [];
    await call(
      async (request) => {
        seen.push(request.method, request.url, request.headers.get("cookie"), await request.text());
        return new Response("ok");
      },
      toEvent({
        rawQueryString: "limit=2&cursor=a%20b",
        cookies: ["a=1", "b=2"],
        body: Buffer.from("{}").toString("base64"),
        isBase64Encoded: true,
        requestContext: { http: { method: "POST" } } as APIGatewayProxyEventV2["requestContext"],
      }),
    );
    expect(seen).toEqual(["POST", "https://api.example/v1/jobs?limit=2&cursor=a%20b", "a=1; b=2", "{}"]);
  });

  it("keeps cookies apart from the other headers", async () => {
    const headers = new Headers({ "content-type": "text/plain" });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    const [prelude] = await call(() => new Response("ok", { headers }));
    expect(JSON.parse(prelude ?? "")).toEqual({
      statusCode: 200,
      headers: { "content-type": "text/plain" },
      cookies: ["a=1", "b=2"],
    });
  });
});
