import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Writable } from "node:stream";
import type { APIGatewayProxyEventV2, Context } from "aws-lambda";
import { functionLimits } from "../../shared/infrastructure/functions.ts";
import { createLambdaContext } from "./context.ts";

/** Lambda takes no larger request. */
const maxRequestBytes = 6 * 1024 * 1024;
const functionTimeoutMs = functionLimits.api.timeoutSeconds * 1000;

type StreamingFunction = (event: APIGatewayProxyEventV2, answer: Writable, context: Context) => Promise<void>;
type WriteDone = (error: Error | null | undefined) => void;
interface Prelude {
  statusCode: number;
  headers?: Record<string, string>;
  cookies?: string[];
}

/** Puts in place what the Lambda runtime offers to functions with streamed answers; before they are imported. */
export function installStreamingRuntime(): void {
  const runtime = {
    streamifyResponse: (handler: StreamingFunction) => handler,
    HttpResponseStream: {
      from(answer: FunctionAnswer, prelude: Prelude): Writable {
        answer.prelude = prelude;
        return answer;
      },
    },
  };
  Object.assign(globalThis, { awslambda: runtime });
}

/**
 * The stream a function answers into: status and headers with the first write, as the platform sends them, then the
 * body with the back-pressure of the client. Without any write there is no status: the platform answers 200 with nothing.
 */
class FunctionAnswer extends Writable {
  readonly #response: ServerResponse;
  prelude: Prelude | undefined;

  constructor(response: ServerResponse) {
    super({ highWaterMark: 64 * 1024 });
    this.#response = response;
    response.once("close", () => {
      if (!this.writableFinished) this.destroy();
    });
  }

  override write(chunk: unknown, encodingOrDone?: BufferEncoding | WriteDone, done?: WriteDone): boolean {
    this.#begin();
    return super.write(chunk, encodingOrDone as BufferEncoding, done);
  }

  #begin(): void {
    if (!this.prelude || this.#response.headersSent) return;
    const { statusCode, headers = {}, cookies = [] } = this.prelude;
    this.#response.writeHead(statusCode, cookies.length > 0 ? { ...headers, "set-cookie": cookies } : headers);
    // Sent with the first of the body, or by themselves where that takes its time: one packet for a short answer.
    setImmediate(() => {
      if (!this.#response.destroyed) this.#response.flushHeaders();
    });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#response.write(chunk)) done();
    else this.#response.once("drain", () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#response.end(() => done());
  }
}

/** Calls a function for each request as a function URL does (payload 2.0). */
export function createFunctionUrl(
  functionName: string,
  handler: (event: APIGatewayProxyEventV2, answer: Writable, context: Context) => Promise<void>,
  hooks: { onError: (error: unknown) => void; afterCall: () => void },
): RequestListener {
  return async (request, response) => {
    const answer = new FunctionAnswer(response);
    answer.on("error", () => response.destroy());
    try {
      const body = await readBody(request);
      if (body === undefined) return refuseLargeBody(response);
      await handler(toEvent(request, body), answer, createLambdaContext(functionName, functionTimeoutMs));
    } catch (error) {
      const clientGone = !request.complete && request.destroyed;
      if (!clientGone) hooks.onError(error);
      // An answer that has begun is broken off: ended properly, half of it would look like the whole.
      if (response.headersSent) response.destroy();
      else answerFailure(response);
    } finally {
      hooks.afterCall();
    }
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).byteLength;
    if (bytes <= maxRequestBytes) chunks.push(chunk as Buffer);
  }
  return bytes > maxRequestBytes ? undefined : Buffer.concat(chunks);
}

function refuseLargeBody(response: ServerResponse): void {
  const detail = `a request body has at most ${maxRequestBytes} bytes`;
  answerProblem(response, { title: "Too large", status: 413, code: "payload_too_large", detail });
}

function answerFailure(response: ServerResponse): void {
  const detail = "the function failed; try again";
  answerProblem(response, { title: "Not available right now", status: 502, code: "unavailable", detail });
}

function answerProblem(
  response: ServerResponse,
  problem: { title: string; status: number; code: string; detail: string },
): void {
  response.writeHead(problem.status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ type: `urn:sluice:problem:${problem.code}`, ...problem }));
}

function toEvent(request: IncomingMessage, body: Buffer): APIGatewayProxyEventV2 {
  const [rawPath = "/", rawQueryString = ""] = (request.url ?? "/").split(/\?(.*)/s, 2);
  const headers: Record<string, string> = { "x-forwarded-proto": "http" };
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  const now = new Date();
  const method = request.method ?? "GET";
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString,
    headers,
    requestContext: {
      accountId: "000000000000",
      apiId: "local",
      domainName: headers.host ?? "127.0.0.1",
      domainPrefix: "local",
      http: {
        method,
        path: rawPath,
        protocol: "HTTP/1.1",
        sourceIp: request.socket.remoteAddress ?? "",
        userAgent: headers["user-agent"] ?? "",
      },
      requestId: headers["x-request-id"] ?? "",
      routeKey: "$default",
      stage: "$default",
      time: now.toISOString(),
      timeEpoch: now.getTime(),
    },
    // As the platform does: what may not be text comes in base64.
    ...(body.byteLength > 0 ? { body: body.toString("base64") } : {}),
    isBase64Encoded: body.byteLength > 0,
  };
}
