import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findDynoxideBinary } from "./binary.ts";
import { type BoundChild, type ChildExit, spawnBoundChild } from "./bound-child.ts";
import { findFreePort } from "./free-port.ts";
import { indexStreamRecords, type StreamTrim, trimStreamRecords } from "./stream-storage.ts";

export type { ChildExit } from "./bound-child.ts";
export type { StreamTrim } from "./stream-storage.ts";
export { sweepExpiredItems } from "./ttl-sweep.ts";

/** Hears what the server prints. */
export type DynamoDbLogger = {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
};

/** Where the tables are kept and where the server listens (127.0.0.1 always). */
export type DynamoDbOptions = {
  readonly dataDir: string;
  /** A free port is chosen when left out. */
  readonly port?: number;
  readonly logger?: DynamoDbLogger;
  /** The dynoxide binary (SLUICE_DYNOXIDE); the installed package's when left out. */
  readonly binaryPath?: string | undefined;
  readonly readyDeadlineMs?: number;
};

/** A running embedded DynamoDB; it ends with this process at the latest, also when that is killed. */
export type DynamoDbServer = {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the server is gone, asked to or not. */
  readonly exited: Promise<ChildExit>;
  /** Removes old records of a table's stream that were read, and returns how many; the server removes none by itself. */
  trimStream(trim: StreamTrim): Promise<number>;
  stop(): Promise<void>;
};

const DATABASE_FILE = "dynamodb.sqlite";
const READY_DEADLINE_MS = 15_000;
const POLL_MS = 5;
/** A port found free may be taken by the time it is used. */
const PORT_ATTEMPTS = 5;
/** Every acknowledged write is on disk already, so a server that does not end in time loses nothing by SIGKILL. */
const STOP_GRACE_MS = 2_000;

/** Starts the embedded DynamoDB on its data folder and waits until it answers. */
export async function startDynamoDb(options: DynamoDbOptions): Promise<DynamoDbServer> {
  const binary = findDynoxideBinary({ binaryPath: options.binaryPath });
  await mkdir(options.dataDir, { recursive: true });
  if (options.port !== undefined) return startOnPort(binary, options.port, options);
  let lastError: unknown;
  for (let attempt = 1; attempt <= PORT_ATTEMPTS; attempt += 1) {
    try {
      return await startOnPort(binary, await findFreePort(), options);
    } catch (error) {
      if (!(error instanceof PortTakenError)) throw error;
      lastError = error;
    }
  }
  throw lastError;
}

class PortTakenError extends Error {}

async function startOnPort(binary: string, port: number, options: DynamoDbOptions): Promise<DynamoDbServer> {
  const databaseFile = join(options.dataDir, DATABASE_FILE);
  const url = `http://127.0.0.1:${port}`;
  const output: string[] = [];
  const child = await spawnBoundChild({
    command: binary,
    args: ["serve", "--host", "127.0.0.1", "--port", `${port}`, "--db-path", databaseFile],
    onLine: (line) => {
      if (output.length < 50) output.push(line);
      options.logger?.debug({ line }, "dynamodb output");
    },
  });
  try {
    await waitUntilReady(child, url, output, options.readyDeadlineMs ?? READY_DEADLINE_MS);
    indexStreamRecords(databaseFile);
  } catch (error) {
    await child.stop(STOP_GRACE_MS);
    if (output.some((line) => line.includes("is already in use"))) {
      throw new PortTakenError(`port ${port} for the embedded DynamoDB is taken by another program`, { cause: error });
    }
    throw error;
  }
  return {
    url,
    port,
    pid: child.pid,
    exited: child.exited,
    trimStream: (trim) => trimStreamRecords(databaseFile, trim),
    stop: async () => {
      await child.stop(STOP_GRACE_MS);
    },
  };
}

async function waitUntilReady(child: BoundChild, url: string, output: readonly string[], deadlineMs: number) {
  const deadline = Date.now() + deadlineMs;
  let exit: ChildExit | undefined;
  child.exited.then((result) => {
    exit = result;
  });
  while (exit === undefined && Date.now() < deadline) {
    // Its own word first: on a taken port somebody else would answer.
    if (output.some((line) => line.includes("listening on")) && (await answersHealthy(url))) return;
    await sleep(POLL_MS);
  }
  const printed = output.join("\n");
  if (exit === undefined) throw new Error(`the embedded DynamoDB was not ready after ${deadlineMs} ms: ${printed}`);
  throw new Error(`the embedded DynamoDB ended at its start (code ${exit.code}, signal ${exit.signal}): ${printed}`);
}

async function answersHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok && response.headers.has("x-dynoxide-version");
  } catch {
    return false;
  }
}
