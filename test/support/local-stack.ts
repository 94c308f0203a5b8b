import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

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

/** Starts `sluice dev` and waits until it can take a job. */
export async function startLocalStack(start: StackStart = {}): Promise<RunningStack> {
  const dataDir = start.dataDir ?? (await mkdtemp(join(tmpdir(), "sluice-stack-")));
  const port = start.port ?? (await findFreePort());
  const args = ["dev", "--json", "--port", `${port}`, "--data-dir", dataDir, "--workers", `${start.workers ?? 1}`];
  if (start.slots !== undefined) args.push("--slots", `${start.slots}`);
  const child = spawn(process.execPath, [cliFile, ...args], {
    env: { ...process.env, ...start.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const description = JSON.parse(await readFirstLine(child)) as Pick<
    RunningStack,
    "url" | "token" | "pid" | "pids" | "aws"
  >;
  const gone = new Promise<number | null>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode);
    else child.once("exit", (code) => resolve(code));
  });
  return {
    ...description,
    dataDir,
    async stop() {
      child.kill("SIGINT");
      return gone;
    },
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
    remove: () => rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }),
  };
}

function readFirstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    const timer = setTimeout(
      () => reject(new Error(`the stack was not ready in time: ${said.join("\n")}`)),
      startDeadlineMs,
    );
    if (child.stderr) createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
    child.once("exit", (code) => reject(new Error(`the stack ended at its start with ${code}: ${said.join("\n")}`)));
    if (!child.stdout) return;
    createInterface({ input: child.stdout }).once("line", (line) => {
      clearTimeout(timer);
      if (line.startsWith('{"url"')) resolve(line);
      else said.push(line);
    });
  });
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
