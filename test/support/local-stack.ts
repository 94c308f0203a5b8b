import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnBoundChild } from "../../local/dynamodb/bound-child.ts";

const startDeadlineMs = 60_000;
const cliFile = fileURLToPath(new URL("../../cli/bin.mjs", import.meta.url));

/** A local stack in processes of its own, on a folder of its own, that a measurement or a test talks to. */
export interface RunningStack {
  url: string;
  token: string;
  dataDir: string;
  pid: number;
  pids: Record<string, number>;
  aws: Record<"dynamodb" | "sqs" | "s3" | "region" | "accessKeyId" | "secretAccessKey", string>;
  /** Ends it as Ctrl-C does; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Kills its main process; the others follow. */
  kill(): Promise<void>;
  /** Removes the data folder; after `stop` or `kill`. */
  remove(): Promise<void>;
}

/** How to start it. */
export interface StackStart {
  slots?: number;
  workers?: number;
  dataDir?: string;
  port?: number;
  env?: NodeJS.ProcessEnv;
}

/**
 * Whether stacks run their functions from the bundles of a deployment: what is tested of workers and the CLI alone is
 * tested already then, from the same sources.
 */
export const isBundled = process.env.SLUICE_FUNCTIONS_BUNDLE !== undefined;

/** Starts `sluice dev` and waits until it can take a job. */
export async function startLocalStack(start: StackStart = {}): Promise<RunningStack> {
  const dataDir = start.dataDir ?? (await mkdtemp(join(tmpdir(), "sluice-stack-")));
  const port = start.port ?? (await findFreePort());
  const args = ["dev", "--json", "--port", `${port}`, "--data-dir", dataDir, "--workers", `${start.workers ?? 1}`];
  if (start.slots !== undefined) args.push("--slots", `${start.slots}`);
  const firstLine = createFirstLine();
  // Bound to this process: a test that is cut off leaves no stack behind.
  const child = await spawnBoundChild({
    command: process.execPath,
    args: [cliFile, ...args],
    env: { ...process.env, ...start.env },
    onLine: firstLine.take,
  });
  let gone = false;
  child.exited.then(({ code, signal }) => {
    gone = true;
    firstLine.fail(`ended at its start (${signal ?? `code ${code}`})`);
  });
  const signalChild = (signal: NodeJS.Signals) => {
    if (!gone) process.kill(child.pid, signal);
  };
  const description = JSON.parse(await firstLine.read()) as Pick<
    RunningStack,
    "url" | "token" | "pid" | "pids" | "aws"
  >;
  return {
    ...description,
    dataDir,
    async stop() {
      signalChild("SIGINT");
      return (await child.exited).code;
    },
    async kill() {
      signalChild("SIGKILL");
      await child.exited;
    },
    remove: () => rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }),
  };
}

/** The line by which the stack says that it is ready; what it says before goes into the error if it never does. */
function createFirstLine() {
  const said: string[] = [];
  let settle: { resolve: (line: string) => void; reject: (error: Error) => void } | undefined;
  const line = new Promise<string>((resolve, reject) => {
    settle = { resolve, reject };
  });
  const fail = (what: string) => settle?.reject(new Error(`the stack ${what}: ${said.join("\n")}`));
  const timer = setTimeout(() => fail("was not ready in time"), startDeadlineMs);
  return {
    take(text: string) {
      if (text.startsWith('{"url"')) settle?.resolve(text);
      else if (said.length < 100) said.push(text);
    },
    fail,
    read: () => line.finally(() => clearTimeout(timer)),
  };
}

/** A port of 127.0.0.1 that nobody listens on right now. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
