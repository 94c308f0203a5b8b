import { hash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { applyFault, createFaultState, decideFault, type FaultRules, type FaultState } from "../aws/faults.ts";
import { verifySignature } from "../aws/signature.ts";
import { AnswerGuard, watchClient } from "./client-connection.ts";
import { DEFAULT_ACCOUNT_ID, openEngine, type SqsEngine, type SqsEngineOptions, type SqsLogger } from "./engine.ts";
import { SqsError } from "./errors.ts";
import type { OperationAnswer, OperationContext } from "./operation.ts";
import { findOperation } from "./operations.ts";
import { parseFields } from "./request-fields.ts";

/** What the embedded SQS server needs. */
export type SqsServerOptions = SqsEngineOptions & {
  /** 0 or nothing for a free one. After a restart the same as before, so that queue URLs go on naming their queues. */
  readonly port?: number;
  /** The one key pair that requests have to be signed with. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly faults?: FaultRules;
  readonly logger?: SqsLogger;
};

/** A running server on 127.0.0.1. */
export type SqsServer = {
  readonly url: string;
  readonly port: number;
  /** Replaces the faults that are injected; an empty list ends them. */
  setFaults(rules: FaultRules): void;
  /** Ends waiting polls empty, finishes what is under way, and closes the store. */
  close(): Promise<void>;
};

/** A batch of 1 MiB, with room for the escapes of JSON. */
const MAX_BODY_BYTES = 8 * 1_048_576;
/** Longer than the SDK keeps idle connections, so that the server is never the one to close first. */
const KEEP_ALIVE_MS = 75_000;
const CLOSE_DEADLINE_MS = 2_000;
const TARGET_PREFIX = "AmazonSQS.";
const LAST_RESORT_LOGGER: SqsLogger = {
  error: (details, message) => process.stderr.write(`sqs: ${message} ${JSON.stringify(details)}\n`),
};

/** Starts the embedded SQS server: the JSON protocol of AWS SDK v3, kept in SQLite. */
export async function createSqsServer(options: SqsServerOptions): Promise<SqsServer> {
  const logger = options.logger ?? LAST_RESORT_LOGGER;
  const engine = openEngine(options, logger);
  const server = createServer();
  let port: number;
  try {
    port = await listen(server, options.port ?? 0);
  } catch (error) {
    engine.close();
    throw error;
  }
  const url = `http://127.0.0.1:${port}`;
  const accountId = options.accountId ?? DEFAULT_ACCOUNT_ID;
  const context = { ...engine.parts, baseUrl: url, accountId, senderId: options.credentials.accessKeyId };
  const endpoint = new SqsEndpoint(context, engine, options, logger);
  server.on("connection", (socket) => endpoint.guard.attach(socket));
  server.on("request", (request, response) => endpoint.handleRequest(request, response));
  return {
    url,
    port,
    setFaults: (rules) => endpoint.setFaults(rules),
    close: async () => {
      endpoint.endService();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      engine.endPolls();
      server.closeIdleConnections();
      const deadline = setTimeout(() => server.closeAllConnections(), CLOSE_DEADLINE_MS);
      await closed;
      clearTimeout(deadline);
      engine.close();
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException) => {
      const isTaken = cause.code === "EADDRINUSE";
      const advice = "end the program that uses it, or choose another port";
      reject(isTaken ? new Error(`Port ${port} on 127.0.0.1 is taken: ${advice}.`, { cause }) : cause);
    };
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", fail);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** The HTTP side: reads and checks requests, runs their operations, and answers when the outcome is on disk. */
class SqsEndpoint {
  readonly guard = new AnswerGuard();
  readonly #context: OperationContext;
  readonly #engine: SqsEngine;
  readonly #options: SqsServerOptions;
  readonly #logger: SqsLogger;
  #faults: FaultState;
  #isEnding = false;

  constructor(context: OperationContext, engine: SqsEngine, options: SqsServerOptions, logger: SqsLogger) {
    this.#context = context;
    this.#engine = engine;
    this.#options = options;
    this.#logger = logger;
    this.#faults = createFaultState(options.faults);
  }

  setFaults(rules: FaultRules): void {
    this.#faults = createFaultState(rules);
  }

  /** From now on each answer is the last one on its connection, and what has not begun does not begin any more. */
  endService(): void {
    this.#isEnding = true;
  }

  async handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.guard.noteRequest(request.socket);
    try {
      const body = await readBody(request);
      // The client went away while it was still sending: there is nothing to do and nobody to answer.
      if (body === undefined) return;
      if (!(await this.#isSigned(request, response, body))) return;
      await this.#answer(request, response, body);
    } catch (error) {
      this.#writeError(response, error);
    }
  }

  async #isSigned(request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<boolean> {
    const { method = "", url = "", headers } = request;
    const { credentials, region } = this.#options;
    const signed = { method, url, headers, bodySha256: hash("sha256", body) };
    const result = await verifySignature(signed, { credentials, service: "sqs", region });
    if (result.ok) return true;
    const { code, message, status } = result;
    const type = `com.amazon.coral.service#${code}`;
    writeErrorBody(response, { status, type, queryCode: code, message, isSenderFault: true });
    return false;
  }

  async #answer(request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<void> {
    const name = readOperationName(request);
    const fault = decideFault(this.#faults, name);
    if (fault !== undefined && (await applyFault(fault, request, response)) === "answered") return;
    if (this.#isEnding) {
      response.destroy();
      return;
    }
    this.#engine.ensureLoaded();
    const client = watchClient(request, response);
    const answer = findOperation(name)(this.#context, parseFields(body), client);
    // Asked for in the same turn: what the operation wrote is part of the transaction that is open now.
    const settled = this.#engine.store.settled();
    const { body: content, delivery } = await answer;
    await (delivery?.delivery.committed ?? settled);
    if (this.#isEnding) response.shouldKeepAlive = false;
    const write = () => writeJson(response, content);
    if (delivery === undefined) write();
    else await this.guard.send(response, client, write, () => this.#giveBack(delivery));
  }

  #giveBack({ queueName, delivery }: NonNullable<OperationAnswer["delivery"]>): void {
    try {
      this.#engine.ensureLoaded();
      this.#context.desk.giveBack(queueName, delivery);
    } catch (cause) {
      // They stay in flight then, and come back when their visibility runs out.
      this.#logger.error({ cause: String(cause), queueName }, "messages nobody took could not be given back");
    }
  }

  #writeError(response: ServerResponse, error: unknown): void {
    if (response.headersSent || response.destroyed) return;
    if (error instanceof SqsError) {
      writeErrorBody(response, error);
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    this.#logger.error({ cause: message }, "a request failed");
    writeErrorBody(response, new SqsError("InternalFailure", message));
  }
}

function readOperationName(request: IncomingMessage): string {
  const target = request.headers["x-amz-target"];
  if (request.method === "POST" && typeof target === "string" && target.startsWith(TARGET_PREFIX)) {
    return target.slice(TARGET_PREFIX.length);
  }
  throw new SqsError(
    "UnknownOperationException",
    `This server speaks the AWS JSON protocol of SQS only: POST with the header X-Amz-Target: ${TARGET_PREFIX}<operation>.`,
  );
}

/** Reads the whole body; undefined if the client goes away before its end. */
function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      else chunks.length = 0;
    });
    request.on("end", () => {
      if (bytes <= MAX_BODY_BYTES) resolve(Buffer.concat(chunks));
      else reject(new SqsError("RequestEntityTooLarge", `A request can have at most ${MAX_BODY_BYTES} bytes.`));
    });
    request.on("close", () => resolve(undefined));
    request.on("error", () => resolve(undefined));
  });
}

function writeJson(response: ServerResponse, content: OperationAnswer["body"]): void {
  const body = content === undefined ? "" : JSON.stringify(content);
  response.writeHead(200, {
    "content-type": "application/x-amz-json-1.0",
    "content-length": Buffer.byteLength(body),
    "x-amzn-requestid": randomUUID(),
  });
  response.end(body);
}

type ErrorAnswer = Pick<SqsError, "status" | "type" | "queryCode" | "message" | "isSenderFault">;

function writeErrorBody(response: ServerResponse, error: ErrorAnswer): void {
  const body = JSON.stringify({ __type: error.type, message: error.message });
  response.writeHead(error.status, {
    "content-type": "application/x-amz-json-1.0",
    "content-length": Buffer.byteLength(body),
    "x-amzn-requestid": randomUUID(),
    "x-amzn-query-error": `${error.queryCode};${error.isSenderFault ? "Sender" : "Receiver"}`,
  });
  response.end(body);
}
