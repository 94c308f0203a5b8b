import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateBucketCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { test } from "vitest";
import { createS3Server, type S3ServerOptions } from "../../../local/s3/index.ts";
import { startMoto } from "../../support/peers.ts";
import { findDifference } from "./differences.ts";

/** The implementations that the contract is checked on. */
export type Implementation = "embedded" | "moto";

/** How a client reaches an implementation. */
export interface Connection {
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
}

/** One running implementation with the product's own kind of client. */
export interface Target extends Connection {
  client: S3Client;
  stop(): Promise<void>;
}

/** The keys the tests' own servers accept. */
export const credentials = { accessKeyId: "local", secretAccessKey: "local-secret" };

/** Starts the embedded server on a folder of its own. */
export async function startEmbeddedTarget(options: Partial<S3ServerOptions> = {}): Promise<Target> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-s3-"));
  const server = await createS3Server({ dataDir, region: "us-east-1", credentials, ...options });
  return createTarget({ endpoint: server.url, region: "us-east-1", credentials }, async () => {
    await server.close();
    await rm(dataDir, { recursive: true, force: true });
  });
}

/** Starts moto; undefined when it is not installed. */
export async function startMotoTarget(): Promise<Target | undefined> {
  const peer = await startMoto();
  return peer && createTarget(peer, () => peer.stop());
}

function createTarget({ endpoint, region, credentials }: Connection, stopServer: () => Promise<void>): Target {
  const connection = { endpoint, region, credentials };
  const client = createClient(connection);
  return {
    ...connection,
    client,
    stop: async () => {
      client.destroy();
      await stopServer();
    },
  };
}

/** The SDK's client as the product uses it; one attempt, because a retry would hide a wrong answer. */
export function createClient(connection: Connection, config: S3ClientConfig = {}): S3Client {
  const { endpoint, region, credentials } = connection;
  return new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 1, ...config });
}

/** The cases of one implementation. `it` is vitest's, but knows the table of differences. */
export interface Suite {
  implementation: Implementation;
  target: () => Target;
  it: (title: string, run: () => Promise<void>) => void;
}

/** Prepares the registration of cases for an implementation that is started later. */
export function createSuite(implementation: Implementation, target: () => Target): Suite {
  return {
    implementation,
    target,
    it: (title, run) => {
      const difference = implementation === "embedded" ? undefined : findDifference(title);
      if (!difference) test(title, run);
      else if (difference.isUnsteady) test.skip(`${title} [differs: ${difference.reason}]`);
      // It has to differ: a difference that is gone is to leave the table.
      else test.fails(`${title} [differs: ${difference.reason}]`, run);
    },
  };
}

/** Makes a bucket with a name of its own. */
export async function createBucket({ client }: Pick<Target, "client">): Promise<string> {
  const bucket = `contract-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  return bucket;
}

/** Puts an object. */
export function put(
  { client }: Pick<Target, "client">,
  bucket: string,
  key: string,
  body: PutObjectCommandInput["Body"],
  more: Partial<PutObjectCommandInput> = {},
) {
  return client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body ?? "", ...more }));
}

/** Reads an object's body as text. */
export async function readText(
  { client }: Pick<Target, "client">,
  bucket: string,
  key: string,
  more: Partial<GetObjectCommandInput> = {},
): Promise<string> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...more }));
  return (await Body?.transformToString()) ?? "";
}

/** What became of a request: `succeeded`, or the error's name and HTTP status. */
export async function failureOf(outcome: Promise<unknown>): Promise<string> {
  try {
    await outcome;
    return "succeeded";
  } catch (error) {
    if (!(error instanceof Error) || !("$metadata" in error)) throw error;
    const { httpStatusCode } = error.$metadata as { httpStatusCode?: number };
    return `${error.name} ${httpStatusCode}`;
  }
}

/** An answer of `sendHttp`. */
export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** Sends a plain HTTP request, with the path exactly as given, on a connection of its own. */
export function sendHttp(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<HttpAnswer> {
  const { method = "GET", headers = {}, body } = options;
  const [, host = "", port = "", path = "/"] = /^http:\/\/([^:/]+):(\d+)(\/.*)?$/.exec(url) ?? [];
  const agent = new Agent({ keepAlive: false });
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, path, method, headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
