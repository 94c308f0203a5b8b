import { getCompileCacheDir } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { timing } from "../shared/domain/timing.ts";
import { createLogger, type Logger } from "../shared/log.ts";
import { version } from "../shared/version.ts";
import { findFreePort } from "./dynamodb/free-port.ts";
import { type DataDir, openDataDir } from "./stack/data-dir.ts";
import { answersDocker } from "./stack/docker.ts";
import { type Stack, startStack } from "./stack/stack.ts";
import { StartError } from "./stack/start-error.ts";

/** What `sluice dev` was asked for. Port 0 takes any that is free. */
export interface LocalStackOptions {
  port: number;
  dataDir: string;
  workers: number;
  slots?: number;
  reset: boolean;
  json: boolean;
  verbose: boolean;
}

const dockerAway = "  Docker   does not answer: container steps fail until it does; host-process steps run";

/** A worker's drain, its last uploads, and some room. */
const workerStopMs = timing.drainMs + timing.killGraceMs + 5_000;
const workersUpMs = 5_000;

/**
 * Runs the local stack until it is told to stop; answers the exit code. The first Ctrl-C (or SIGTERM) drains: running
 * tasks get time to end. The second ends at once; what was running is taken up at the next start.
 */
export async function runLocalStack(options: LocalStackOptions): Promise<number> {
  const log = createLogger("stack", { level: options.verbose ? "debug" : "warn" });
  let dataDir: DataDir | undefined;
  let publish = () => log.debug("a process was started again before the stack was announced");
  try {
    dataDir = openDataDir(options.dataDir, { reset: options.reset });
    const stopAsked = waitForStop();
    const stack = await startStack(
      dataDir,
      {
        port: options.port === 0 ? await findFreePort() : options.port,
        workers: options.workers,
        ...(options.slots === undefined ? {} : { slots: options.slots }),
        ...(process.env.SLUICE_DYNOXIDE ? { dynoxidePath: process.env.SLUICE_DYNOXIDE } : {}),
        drainMs: workerStopMs,
        onRestart: () => publish(),
        env: { ...process.env, ...compileCacheEnv() },
      },
      log,
    );
    await announce(stack, dataDir, options, log);
    publish = createPublisher(stack, dataDir, log);
    // Once more: a process may have been started again in the meantime.
    publish();
    await stopAsked;
    if (!options.json) process.stderr.write("\nstopping: running tasks may finish; Ctrl-C again ends at once\n");
    process.once("SIGINT", () => process.exit(130));
    process.once("SIGTERM", () => process.exit(143));
    await stack.stop();
    dataDir.unpublish();
    return 0;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    process.stderr.write(`sluice dev: ${detail}\n`);
    if (options.verbose && !(error instanceof StartError) && error instanceof Error)
      process.stderr.write(`${error.stack}\n`);
    return 1;
  } finally {
    dataDir?.release();
  }
}

/** The stack's processes keep their compiled code where the CLI keeps its own: they start in half the time. */
function compileCacheEnv(): NodeJS.ProcessEnv {
  const folder = getCompileCacheDir();
  // Node adds a folder of its version to the one that it is told.
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) };
}

function waitForStop(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
}

async function announce(stack: Stack, dataDir: DataDir, options: LocalStackOptions, log: Logger): Promise<void> {
  const token = dataDir.state.adminToken;
  const up = await waitForWorkers(stack, token, options.workers);
  if (!up) log.warn(`the workers have not registered yet; see ${join(dataDir.path, "logs")}`);
  const description = describeStack(stack, dataDir);
  dataDir.publish(description);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(description)}\n`);
    return;
  }
  const lines = [
    `Sluice ${version}, local stack`,
    `  console  ${stack.url}/#token=${token}`,
    `  API      ${stack.url}  (documentation at ${stack.url}/docs)`,
    `  workers  ${options.workers}`,
    `  data     ${dataDir.path}`,
    ...((await answersDocker(process.env.DOCKER_HOST)) ? [] : [dockerAway]),
    "Try it in another terminal:  npx --no sluice run examples/hello.yaml",
    "Ctrl-C stops it; nothing is lost.",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** What `stack.json` holds. */
function describeStack(stack: Stack, { state }: DataDir) {
  return { url: stack.url, token: state.adminToken, pid: process.pid, pids: stack.pids(), aws: stack.aws };
}

/** Keeps the process ids in `stack.json` true; a full disk must not end a stack that runs. */
function createPublisher(stack: Stack, dataDir: DataDir, log: Logger): () => void {
  return () => {
    try {
      dataDir.publish(describeStack(stack, dataDir));
    } catch (error) {
      log.warn({ err: error }, "stack.json could not be written; its process ids are those from before");
    }
  };
}

/** Waits a moment until the workers of this start have registered, so that "ready" means ready to take a job. */
async function waitForWorkers(stack: Stack, token: string, workers: number): Promise<boolean> {
  const givesUpAt = Date.now() + workersUpMs;
  while (Date.now() < givesUpAt) {
    if ((await countFreshWorkers(stack, token, givesUpAt - Date.now())) >= workers) return true;
    await sleep(20);
  }
  return false;
}

/** How many workers have registered since the start; 0 where the API cannot say: it may be slow while it starts. */
async function countFreshWorkers(stack: Stack, token: string, timeoutMs: number): Promise<number> {
  try {
    const response = await fetch(`${stack.url}/v1/workers`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(Math.max(1, timeoutMs)),
    });
    const page = (await response.json()) as { workers?: { startedAt: string; state: string }[] };
    return (page.workers ?? []).filter(({ startedAt, state }) => startedAt >= stack.startedAt && state !== "stopped")
      .length;
  } catch {
    return 0;
  }
}
