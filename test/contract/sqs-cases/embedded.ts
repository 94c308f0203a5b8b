import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { createSqsServer, type SqsServer, type SqsServerOptions } from "../../../local/sqs/index.ts";
import { openClient, SqsSession } from "./session.ts";

export const REGION = "eu-central-1";
export const CREDENTIALS = { accessKeyId: "contract", secretAccessKey: "contract-secret" };

/** A data folder, and what was opened on it; `dispose` closes and removes everything. */
export class EmbeddedScope {
  readonly #cleanups: (() => Promise<unknown> | unknown)[] = [];

  async makeDataDir(): Promise<string> {
    const dataDir = await mkdtemp(join(tmpdir(), "sluice-sqs-"));
    this.#cleanups.push(() => rm(dataDir, { recursive: true, force: true }));
    return dataDir;
  }

  /** A server in this process. */
  async start(options: Partial<SqsServerOptions> = {}): Promise<SqsServer> {
    const dataDir = options.dataDir ?? (await this.makeDataDir());
    const server = await createSqsServer({ region: REGION, credentials: CREDENTIALS, ...options, dataDir });
    let closed: Promise<void> | undefined;
    const close = () => {
      closed ??= server.close();
      return closed;
    };
    this.#cleanups.push(close);
    return { ...server, close };
  }

  /** A server in a process of its own, which can be killed. */
  async startProcess(dataDir: string, port = 0): Promise<{ url: string; port: number; kill(): Promise<void> }> {
    const options = { dataDir, port, region: REGION, credentials: CREDENTIALS };
    const child: ChildProcess = fork(new URL("./server-process.ts", import.meta.url), [JSON.stringify(options)]);
    const exited = once(child, "exit");
    const kill = async () => {
      child.kill("SIGKILL");
      await exited;
    };
    this.#cleanups.push(kill);
    const started: Promise<{ url: string; port: number }[]> = once(child, "message");
    const failed = exited.then(([code]) => Promise.reject(new Error(`the server ended at its start with ${code}`)));
    const [address] = await Promise.race([started, failed]);
    if (address === undefined) throw new Error("the server did not tell its address");
    return { ...address, kill };
  }

  /** A session with a client of its own, for a server's address. */
  open(endpoint: string, more: { maxAttempts?: number; credentials?: typeof CREDENTIALS; region?: string } = {}) {
    const target = { endpoint, region: more.region ?? REGION, credentials: more.credentials ?? CREDENTIALS };
    const client: SQSClient = openClient(target, more.maxAttempts);
    this.#cleanups.push(() => client.destroy());
    return new SqsSession(client);
  }

  async dispose(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    this.#cleanups.length = 0;
  }
}
