import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { APIGatewayProxyEventV2, Context } from "aws-lambda";
import { runCall } from "../call.ts";

/** What the Lambda runtime offers for streamed answers. */
interface StreamingRuntime {
  streamifyResponse(
    handler: (event: APIGatewayProxyEventV2, answer: Writable, context: Context) => Promise<void>,
  ): (event: APIGatewayProxyEventV2, context: Context) => Promise<void>;
  HttpResponseStream: {
    from(
      answer: Writable,
      prelude: { statusCode: number; headers: Record<string, string>; cookies: string[] },
    ): Writable;
  };
}

declare const awslambda: StreamingRuntime;

/** Cookies have a place of their own; how bytes travel over the connection is the platform's business. */
const ownHeaders = new Set(["set-cookie", "transfer-encoding", "connection", "keep-alive"]);

/** A web application as a Lambda function behind a function URL (payload 2.0, streamed answers). */
export function createStreamingHandler(fetch: (request: Request) => Response | Promise<Response>) {
  return awslambda.streamifyResponse((event, answer, context) =>
    runCall(context, async () => {
      const response = await fetch(toRequest(event));
      const headers: Record<string, string> = {};
      response.headers.forEach((value, name) => {
        if (!ownHeaders.has(name)) headers[name] = value;
      });
      const out = awslambda.HttpResponseStream.from(answer, {
        statusCode: response.status,
        headers,
        cookies: response.headers.getSetCookie(),
      });
      // The platform sends status and headers with the first write: an answer without a body needs one too, and a stream
      // that has nothing to say yet would leave its reader without an answer.
      out.write("");
      await sendBody(response, out);
    }),
  );
}

function toRequest(event: APIGatewayProxyEventV2): Request {
  const { method } = event.requestContext.http;
  const query = event.rawQueryString ? `?${event.rawQueryString}` : "";
  const headers = new Headers();
  for (const [name, value] of Object.entries(event.headers)) if (value !== undefined) headers.set(name, value);
  if (event.cookies) headers.set("cookie", event.cookies.join("; "));
  const scheme = event.headers["x-forwarded-proto"] ?? "https";
  const url = `${scheme}://${event.headers.host ?? event.requestContext.domainName}${event.rawPath}${query}`;
  if (event.body === undefined || method === "GET" || method === "HEAD") return new Request(url, { method, headers });
  const body = Buffer.from(event.body, event.isBase64Encoded ? "base64" : "utf8");
  headers.set("content-length", String(body.byteLength));
  return new Request(url, { method, headers, body });
}

/** Answers that are whole when they begin: passing them on as streams would cost more than making them. */
const wholeAnswers = /^application\/(?:problem\+)?json\b/;

/** Sends the body as it comes; a client that goes away ends the body's source. */
async function sendBody(response: Response, out: Writable): Promise<void> {
  if (!response.body) {
    out.end();
    return;
  }
  const source = wholeAnswers.test(response.headers.get("content-type") ?? "")
    ? [Buffer.from(await response.arrayBuffer())]
    : Readable.fromWeb(response.body);
  try {
    await pipeline(source, out);
  } catch (error) {
    if (!isClientGone(error)) throw error;
  }
}

function isClientGone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ERR_STREAM_PREMATURE_CLOSE" || code === "EPIPE" || code === "ECONNRESET";
}
