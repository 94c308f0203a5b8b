import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parseQuery } from "../aws/encoding.ts";
import { applyFault, createFaultState, decideFault, type FaultRules, type FaultState } from "../aws/faults.ts";
import { type Credentials, verifySignature } from "../aws/signature.ts";
import { answerPreflight, buildCorsHeaders } from "./cors.ts";
import { isSqliteError } from "./database.ts";
import { buildErrorDocument, notImplemented, S3Error, s3Error } from "./errors.ts";
import { type Answer, Exchange, type S3Context } from "./exchange.ts";
import { type Logger, silentLogger } from "./logger.ts";
import { operations } from "./operations.ts";
import { Storage } from "./storage.ts";
import { LifecycleSweeper } from "./sweeper.ts";
import { type OperationName, parseTarget, resolveOperation, type Target } from "./target.ts";

/** How to start the server. */
export interface S3ServerOptions {
  /** Where index and files live; made when missing. One server at a time. */
  dataDir: string;
  /** A free one by default. */
  port?: number;
  region: string;
  credentials: Credentials;
  faults?: FaultRules;
  logger?: Logger;
  /** Milliseconds since the epoch, for times of modification and lifecycle rules. Signatures go by the real clock. */
  clock?: () => number;
  /** How often lifecycle rules are applied, in milliseconds; hourly by default. They also are at the start. */
  lifecycleIntervalMs?: number;
}

/** A running server. */
export interface S3Server {
  url: string;
  port: number;
  /** Resolves once the files that a killed run left behind are gone. */
  swept: Promise<void>;
  /** Lets requests under way finish (for a few seconds) and closes the data folder. */
  close(): Promise<void>;
}

const hourMs = 60 * 60 * 1000;
/** Longer than clients keep idle connections, so that none is closed under a request. */
const keepAliveMs = 75_000;
/** A connection on which nothing moves for so long is cut; what it was uploading is dropped. */
const stalledMs = 120_000;
const closeDeadlineMs = 5_000;

/** Starts the embedded S3 server on 127.0.0.1; it speaks to any S3 client that signs with the given credentials. */
export async function createS3Server(options: S3ServerOptions): Promise<S3Server> {
  const logger = options.logger ?? silentLogger;
  const now = options.clock ?? Date.now;
  const storage = new Storage(options.dataDir, logger);
  const sweeper = new LifecycleSweeper({
    storage,
    now,
    logger,
    intervalMs: options.lifecycleIntervalMs ?? hourMs,
  });
  const context: S3Context = {
    storage,
    region: options.region,
    now,
    logger,
    onLifecycleChange: () => sweeper.trigger(),
  };
  const dispatcher = new Dispatcher(context, options.credentials, createFaultState(options.faults ?? []));
  const server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, dispatcher.listener(false));
  server.on("checkContinue", dispatcher.listener(true));
  server.setTimeout(stalledMs);
  try {
    await listen(server, options.port ?? 0);
  } catch (error) {
    await sweeper.stop();
    await storage.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    await closeServer(server);
    // A request whose connection was cut may still be on its way to the index; one that a fault delays is not awaited.
    await Promise.race([dispatcher.idle(), sleep(closeDeadlineMs, undefined, { ref: false })]);
    await sweeper.stop();
    await storage.close();
  };
  let closing: Promise<void> | undefined;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    swept: storage.swept,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function closeServer(server: Server): Promise<void> {
  const deadline = setTimeout(() => server.closeAllConnections(), closeDeadlineMs);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  clearTimeout(deadline);
}

/** Takes each request through target, signature, fault and operation to its answer. */
class Dispatcher {
  readonly #context: S3Context;
  readonly #credentials: Credentials;
  readonly #faults: FaultState;
  readonly #active = new Set<Promise<void>>();
  readonly #idPrefix = randomBytes(4).toString("hex").toUpperCase();
  #requests = 0;

  constructor(context: S3Context, credentials: Credentials, faults: FaultState) {
    this.#context = context;
    this.#credentials = credentials;
    this.#faults = faults;
  }

  listener(expectsContinue: boolean): (request: IncomingMessage, response: ServerResponse) => void {
    return (request, response) => {
      const work = this.#serve(request, response, expectsContinue).finally(() => this.#active.delete(work));
      this.#active.add(work);
    };
  }

  /** Resolves when no request is being worked on. */
  async idle(): Promise<void> {
    await Promise.all(this.#active);
  }

  async #serve(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): Promise<void> {
    this.#requests += 1;
    const requestId = this.#idPrefix + this.#requests.toString(16).toUpperCase().padStart(8, "0");
    const connection = new Connection(request, response, expectsContinue, requestId);
    // Without a listener an aborted connection would be an uncaught error.
    response.on("error", () => undefined);
    try {
      const answer = await this.#answer(request, connection);
      if (answer) await connection.send(answer);
    } catch (error) {
      this.#sendError(request, connection, error);
    }
  }

  async #answer(request: IncomingMessage, connection: Connection): Promise<Answer | undefined> {
    const { storage } = this.#context;
    const { method = "GET", url = "/", headers } = request;
    const mark = url.indexOf("?");
    const query = new Map(mark < 0 ? [] : parseQuery(url.slice(mark + 1)));
    const target = parseTarget(mark < 0 ? url : url.slice(0, mark), headers.host);
    if (method === "OPTIONS") return answerPreflight(storage, target.bucket, headers);
    connection.addHeaders(this.#corsHeaders(request, target));

    const signature = await verifySignature(
      { method, url, headers },
      { credentials: this.#credentials, service: "s3", region: this.#context.region },
    );
    if (!signature.ok) throw new S3Error(signature.code, signature.status, signature.message);
    const resolution = resolveOperation(method, target, query, headers["x-amz-copy-source"] !== undefined);
    if ("unsupported" in resolution) throw notImplemented(resolution.unsupported);
    const delay = await this.#disturb(resolution.operation, request, connection);
    if (delay === "answered") return undefined;
    const exchange = new Exchange({
      request,
      ...target,
      query,
      presigned: signature.presigned,
      payload: signature.payload,
      signing: signature.chunkSigning,
      onOpenBody: () => connection.continueBody(),
      onBodyRead: async () => delay?.(),
    });
    return operations[resolution.operation](exchange, this.#context);
  }

  /**
   * Applies a fault, if one is due. A delay comes after the body has arrived and before anything takes effect, so the
   * effect happens even when the client has given up by then; it is handed back for the exchange to await.
   */
  async #disturb(
    operation: OperationName,
    request: IncomingMessage,
    connection: Connection,
  ): Promise<"answered" | (() => Promise<void>) | undefined> {
    const fault = decideFault(this.#faults, operation);
    if (!fault) return undefined;
    const hasBody = request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"]) > 0;
    if (fault.kind === "delay" && hasBody) {
      return async () => {
        await applyFault(fault, request, connection.response);
      };
    }
    // The fault's answer comes after the body, and a client that waits for "100 Continue" has not sent it yet.
    connection.continueBody();
    return (await applyFault(fault, request, connection.response)) === "answered" ? "answered" : undefined;
  }

  #corsHeaders(request: IncomingMessage, target: Target): Record<string, string> {
    const { origin } = request.headers;
    if (origin === undefined || target.bucket === "") return {};
    const question = { origin, method: request.method ?? "GET", headers: [] };
    return buildCorsHeaders(this.#context.storage, target.bucket, question) ?? {};
  }

  #sendError(request: IncomingMessage, connection: Connection, error: unknown): void {
    const isGone = request.destroyed && !request.complete;
    const refusal = toRefusal(error);
    if (refusal.status >= 500 && refusal.code !== "NotImplemented" && !isGone) {
      const { method, url } = request;
      this.#context.logger.error({ err: error, method, path: url?.split("?")[0] }, "a request failed");
    }
    connection.sendError(refusal, request.url?.split("?")[0] ?? "/");
  }
}

function toRefusal(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  const isDiskFull =
    isSqliteError(error, 13) ||
    (error instanceof Error && "code" in error && ["ENOSPC", "EDQUOT"].includes(String(error.code)));
  return s3Error(isDiskFull ? "InsufficientStorage" : "InternalError");
}

/** The answering side of one request. */
class Connection {
  readonly response: ServerResponse;
  readonly #isHead: boolean;
  readonly #requestId: string;
  #awaitsContinue: boolean;
  #headers: Record<string, string>;

  constructor(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean, requestId: string) {
    this.response = response;
    this.#isHead = request.method === "HEAD";
    this.#awaitsContinue = expectsContinue;
    this.#requestId = requestId;
    this.#headers = { "x-amz-request-id": requestId, server: "sluice-s3" };
  }

  addHeaders(headers: Record<string, string>): void {
    this.#headers = { ...this.#headers, ...headers };
  }

  /** Tells a client that asked first to send its body. */
  continueBody(): void {
    if (this.#awaitsContinue) this.response.writeContinue();
    this.#awaitsContinue = false;
  }

  async send(answer: Answer): Promise<void> {
    const { body } = answer;
    try {
      if (typeof body !== "function") {
        this.#write(answer.status, answer.headers, body);
      } else if (this.#isHead) {
        this.#write(answer.status, answer.headers, undefined);
      } else if (!this.response.destroyed) {
        this.response.writeHead(answer.status, this.#mergeHeaders(answer.headers));
        await body(this.response);
      }
    } finally {
      answer.release?.();
    }
  }

  sendError(error: S3Error, resource: string): void {
    if (this.response.headersSent) {
      // Half an object must not look like a whole one.
      this.response.destroy();
      return;
    }
    this.#write(error.status, {}, buildErrorDocument(error, resource, this.#requestId));
  }

  #write(status: number, given: Answer["headers"], body: string | Uint8Array = ""): void {
    if (this.response.destroyed) return;
    const headers = this.#mergeHeaders(given);
    if (typeof body === "string" && body !== "") headers["content-type"] = "application/xml";
    if (status !== 204 && status !== 304) headers["content-length"] ??= String(Buffer.byteLength(body));
    this.response.writeHead(status, headers);
    this.response.end(this.#isHead ? undefined : body);
  }

  #mergeHeaders(given: Answer["headers"]): Record<string, string> {
    // The body that was never asked for will not come, so nothing else can come on this connection either.
    const connection: Record<string, string> = this.#awaitsContinue ? { connection: "close" } : {};
    return { ...this.#headers, ...connection, ...given };
  }
}
