import { stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import type { ProcessStepSpec } from "../../../shared/jobfile/job-spec.ts";
import type { Logger } from "../../../shared/log.ts";
import { ProcessTable } from "../../metrics/process-tree.ts";
import type {
  Executor,
  PreparedStep,
  RunningStep,
  StepLaunch,
  StepOutput,
  TaskContext,
  TaskSandbox,
} from "../executor.ts";
import { buildStepEnvironment } from "../step-environment.ts";
import { Guardian } from "./guardian.ts";
import { startHostProcess } from "./host-process.ts";
import { killQuietly, StraySweeper } from "./stray-processes.ts";

const unlimitedNotice =
  "sluice: resources are enforced on containers; this step runs on the worker's host without them\n";

/** Runs steps as processes of the worker's own machine and user. */
export class ProcessExecutor implements Executor {
  readonly #hostEnv: Readonly<Record<string, string>>;
  readonly #guardian: Guardian;
  readonly #sweeper = new StraySweeper();
  readonly #processes = new ProcessTable();

  constructor(options: { hostEnv: Readonly<Record<string, string>>; log: Logger }) {
    this.#hostEnv = options.hostEnv;
    this.#guardian = new Guardian(options.log);
  }

  openTask(task: TaskContext): TaskSandbox {
    const running = new Set<RunningStep>();
    let started = false;
    return {
      prepareStep: async (step) =>
        ({
          start: async (output) => {
            started = true;
            const process = await this.#start(task, step, output);
            running.add(process);
            return process;
          },
        }) satisfies PreparedStep,
      close: async () => {
        for (const process of running) process.kill();
        await Promise.all([...running].map((process) => process.ended));
        if (started) await this.#sweeper.sweep(task.workspace.path);
      },
      // Its processes are of the worker's own user.
      clearWorkspace: async () => undefined,
    };
  }

  killAllNow(): void {
    for (const group of this.#guardian.groups) killQuietly(-group, "SIGKILL");
  }

  async close(): Promise<undefined> {
    this.#guardian.close();
  }

  async #start(task: TaskContext, step: StepLaunch, output: StepOutput): Promise<RunningStep> {
    const spec = step.spec as ProcessStepSpec;
    const cwd = resolveWorkdir(spec.workdir, task.workspace.path);
    if (!(await isFolder(cwd))) return endWithMessage(output, `the workdir ${spec.workdir ?? cwd} is no folder`);
    if (task.resources !== undefined) await output.write("stderr", Buffer.from(unlimitedNotice));
    const { path, output: outputDir, shared } = task.workspace;
    const [file = "", ...args] = "run" in spec.entry ? ["/bin/sh", "-c", spec.entry.run] : spec.entry.command;
    return startHostProcess(
      {
        file,
        args,
        cwd,
        env: {
          ...this.#hostEnv,
          ...buildStepEnvironment(task, step, {
            workspace: path,
            output: outputDir,
            shared,
            alfredOutput: outputDir,
            alfredShared: shared,
          }),
        },
      },
      output,
      this.#guardian,
      this.#processes,
    );
  }
}

/** `/sluice` is the workspace also where no mount says so; other relative folders start in it. */
function resolveWorkdir(workdir: string | undefined, workspace: string): string {
  if (workdir === undefined || workdir === "/sluice" || workdir === "/alfred") return workspace;
  const inside = /^\/(?:sluice|alfred)\/(.*)$/.exec(workdir)?.[1];
  if (inside !== undefined) return join(workspace, inside);
  return isAbsolute(workdir) ? workdir : join(workspace, workdir);
}

async function isFolder(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isDirectory() ?? false;
}

async function endWithMessage(output: StepOutput, message: string): Promise<RunningStep> {
  await output.write("stderr", Buffer.from(`sluice: ${message}\n`));
  return {
    ended: Promise.resolve({ exitCode: 126, outOfMemory: false }),
    terminate: () => undefined,
    kill: () => undefined,
  };
}
