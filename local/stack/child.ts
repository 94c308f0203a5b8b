import { type ChildProcess, fork, type StdioOptions } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../shared/log.ts";

const readyDeadlineMs = 30_000;
const firstRestartMs = 200;
const longestRestartMs = 5_000;
/** A child that ran for so long is started again without a delay. */
const settledMs = 10_000;

/** What a child process is started with. */
export interface ChildSpec {
  name: string;
  /** Path of its entry file. */
  entry: string;
  /** Asked at each start: what is known by then, such as its port, may be more than at the first. */
  env: () => NodeJS.ProcessEnv;
  logFile: string;
  /** Called after it was started again: its process is another one. */
  onRestart?: () => void;
  /** Whether it says `{ ready: … }` over IPC once it works; a child that does not is taken as ready at once. */
  saysReady: boolean;
}

/** A child process that is started again whenever it ends unasked. It ends with this process (IPC disconnect). */
export interface SupervisedChild<Ready> {
  ready: Ready;
  pid(): number | undefined;
  /** Asks it to end (SIGTERM), kills it after the grace, and resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

/** Starts a child and waits until it is ready; an end before that is an error with the last it said. */
export async function superviseChild<Ready>(spec: ChildSpec, log: Logger): Promise<SupervisedChild<Ready>> {
  let stopping = false;
  let { child, ready } = await startChild<Ready>(spec);
  let startedAt = Date.now();
  let restarts = 0;
  const watch = (watched: ChildProcess) => {
    watched.once("exit", (code, signal) => {
      if (stopping) return;
      log.warn({ child: spec.name, code, signal }, `${spec.name} ended unasked; starting it again`);
      void restart();
    });
  };
  const restart = async () => {
    if (Date.now() - startedAt > settledMs) restarts = 0;
    await sleep(restarts === 0 ? 0 : Math.min(longestRestartMs, firstRestartMs * 2 ** restarts));
    restarts += 1;
    if (stopping) return;
    try {
      startedAt = Date.now();
      ({ child, ready } = await startChild<Ready>(spec));
      if (stopping) child.kill("SIGTERM");
      else {
        watch(child);
        spec.onRestart?.();
      }
    } catch (error) {
      log.error({ err: error, child: spec.name }, `${spec.name} could not be started again; trying once more`);
      await restart();
    }
  };
  watch(child);
  return {
    get ready() {
      return ready;
    },
    pid: () => child.pid,
    async stop(graceMs) {
      stopping = true;
      await stopChild(child, graceMs);
    },
  };
}

async function startChild<Ready>(spec: ChildSpec): Promise<{ child: ChildProcess; ready: Ready }> {
  const logFd = openSync(spec.logFile, "a", 0o600);
  // A session of its own: a Ctrl-C in the terminal reaches the supervisor alone, which ends its children in order.
  const stdio: StdioOptions = ["ignore", logFd, logFd, "ipc"];
  const child = fork(spec.entry, [], { env: spec.env(), stdio, execArgv: [], detached: true });
  closeSync(logFd);
  if (!spec.saysReady) return { child, ready: undefined as Ready };
  const message = await new Promise<{ ready?: Ready; failed?: string }>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${spec.name} was not ready in time`)), readyDeadlineMs);
    child.once("message", (said) => {
      clearTimeout(timer);
      resolve(said as { ready?: Ready; failed?: string });
    });
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`${spec.name} ended at its start (${signal ?? `code ${code}`}); see ${spec.logFile}`));
    });
  }).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw error;
  });
  if (message.failed !== undefined) {
    child.kill("SIGKILL");
    throw new Error(message.failed);
  }
  return { child, ready: message.ready as Ready };
}

async function stopChild(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await gone;
  clearTimeout(timer);
}
