import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { S3Client } from "@aws-sdk/client-s3";
import { onTestFinished } from "vitest";
import { createS3Server, type S3Server, type S3ServerOptions } from "../../../local/s3/index.ts";
import { createClient, credentials } from "./target.ts";

const conditionDeadlineMs = 20_000;

/** A folder of a test's own, and everything that was started on it. */
export class Workbench {
  readonly dataDir: string;
  readonly #cleanups: (() => Promise<unknown> | unknown)[] = [];

  private constructor(dataDir: string) {
    this.dataDir = dataDir;
  }

  /** Makes a workbench that is cleared away when the running test ends. */
  static async create(): Promise<Workbench> {
    const bench = new Workbench(await mkdtemp(join(tmpdir(), "sluice-s3-")));
    bench.#cleanups.push(() => rm(bench.dataDir, { recursive: true, force: true }));
    onTestFinished(() => bench.#clear());
    return bench;
  }

  /** Starts a server in this process. */
  async start(options: Partial<S3ServerOptions> = {}): Promise<S3Server & { client: S3Client; endpoint: string }> {
    const server = await createS3Server({ dataDir: this.dataDir, region: "us-east-1", credentials, ...options });
    const client = this.connect(server.url);
    this.#cleanups.push(() => server.close());
    return { ...server, client, endpoint: server.url };
  }

  /** Starts a server in a process of its own. */
  async startProcess(): Promise<ServerProcess> {
    const child = fork(fileURLToPath(import.meta.resolve("./server-process.ts")), [this.dataDir], { execArgv: [] });
    this.#cleanups.push(() => child.kill("SIGKILL"));
    const [message] = (await once(child, "message")) as [{ url: string }];
    return { child, endpoint: message.url, client: this.connect(message.url) };
  }

  connect(endpoint: string, config: Parameters<typeof createClient>[1] = {}): S3Client {
    const client = createClient({ endpoint, region: "us-east-1", credentials }, config);
    this.#cleanups.push(() => client.destroy());
    return client;
  }

  /** The files that hold bodies, whether the index knows them or not. */
  async listBlobs(): Promise<string[]> {
    const dir = join(this.dataDir, "blobs");
    if (!existsSync(dir)) return [];
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  }

  async #clear(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
  }
}

/** A server in a process of its own. */
export interface ServerProcess {
  child: ChildProcess;
  endpoint: string;
  client: S3Client;
}

/** Ends a process the hard way. */
export async function killHard({ child }: ServerProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** Resolves when the server has removed what an earlier one left behind. */
export async function waitUntilSwept({ child }: ServerProcess): Promise<void> {
  const answered = once(child, "message");
  child.send("swept?");
  await answered;
}

/** The most memory a process has had resident, in MiB; Linux only. */
export async function readPeakMemoryMib({ child }: ServerProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** Waits for a condition; fails loudly when it does not come. */
export async function waitFor(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + conditionDeadlineMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await sleep(10);
  }
}
