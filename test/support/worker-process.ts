import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { PhaseRow } from "../../workers/drain-phases.ts";

const mainFile = fileURLToPath(new URL("../../workers/main.ts", import.meta.url));

/** A worker in a process of its own, which is gone when the test is over. */
export class WorkerProcess {
  readonly child: ChildProcess;
  readonly ready: Promise<string>;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  text = "";

  /** Tests that run side by side hand over their own `atEnd`. */
  constructor(env: Record<string, string>, atEnd: (clear: () => Promise<void>) => void = onTestFinished) {
    this.child = fork(mainFile, { env, stdio: ["ignore", "pipe", "pipe", "ipc"], execArgv: [] });
    this.child.stdout?.on("data", (data) => this.#collect(data));
    this.child.stderr?.on("data", (data) => this.#collect(data));
    this.ready = new Promise((resolve) => {
      this.child.on("message", (message: { workerId: string }) => resolve(message.workerId));
    });
    this.exited = new Promise((resolve) => {
      this.child.on("exit", (code, signal) => resolve({ code, signal }));
    });
    atEnd(async () => {
      this.child.kill("SIGKILL");
      await this.exited;
    });
  }

  /** The lines of its log so far. */
  get lines(): { message?: string; phases?: PhaseRow[] }[] {
    return this.text
      .split("\n")
      .flatMap((line) => (line.startsWith("{") && line.endsWith("}") ? [JSON.parse(line)] : []));
  }

  #collect(data: Buffer): void {
    this.text += data.toString();
    if (process.env.LOG_LEVEL) process.stderr.write(data);
  }
}
