import { execFile } from "node:child_process";
import type { Logger } from "../../shared/log.ts";
import type { DockerExecutor } from "../executors/docker/docker-executor.ts";
import type { HealthConfig } from "./health-config.ts";
import { HealthMonitor, type HealthMonitorOptions } from "./health-monitor.ts";
import type { HealthProblem } from "./health-state.ts";
import { checkRoom, judgeMemory } from "./room.ts";

/** What a worker's machine is looked at for, and mended by. */
export interface MachineOptions {
  config: HealthConfig;
  workDir: string;
  /** Docker, where tasks need it; asked at each look. */
  docker: () => Pick<DockerExecutor, "probe" | "reconnect" | "makeRoom"> | undefined;
  /** How far this clock is from the control plane's; undefined where that is not known. */
  clockSkewMs: () => number | undefined;
  /** The environment of the command that restarts Docker: not the worker's own, which holds its token. */
  hostEnv: Readonly<Record<string, string>>;
  /** Removes what dead workers left in the work folder. */
  removeRemains: () => Promise<void>;
  log: Logger;
}

const restartDeadlineMs = 90_000;
/** A restart ends every container of the machine: the first attempt does without. */
const firstRestartAttempt = 2;

/** A monitor of the machine that a worker runs on. */
export function createMachineHealth(
  machine: MachineOptions,
  worker: Pick<HealthMonitorOptions, "hasTasks" | "onChange">,
): HealthMonitor {
  return new HealthMonitor({
    ...worker,
    probeMs: machine.config.probeMs,
    probe: (closely) => probeMachine(machine, closely),
    mend: (problem, attempt) => mendMachine(machine, problem, attempt),
    nowMs: () => performance.now(),
    log: machine.log,
  });
}

/** The first thing that is wrong; what stands first is most often the cause of the others. */
async function probeMachine(machine: MachineOptions, closely: boolean): Promise<HealthProblem | undefined> {
  const { config, workDir, docker, clockSkewMs } = machine;
  const [room, daemon] = await Promise.all([
    checkRoom(workDir, config.deadlineMs),
    docker()?.probe(closely, config.deadlineMs),
  ]);
  return room ?? judgeMemory() ?? daemon ?? judgeClock(clockSkewMs(), config.maxClockSkewMs);
}

/** Judges how far the clock is off; times in milliseconds, pure. */
export function judgeClock(skewMs: number | undefined, maxSkewMs: number): HealthProblem | undefined {
  if (skewMs === undefined || Math.abs(skewMs) <= maxSkewMs) return undefined;
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const side = skewMs > 0 ? "ahead of" : "behind";
  return { what: "clock", detail: `this machine's clock is ${seconds} s ${side} the control plane's: set it, by NTP` };
}

async function mendMachine(machine: MachineOptions, { what }: HealthProblem, attempt: number): Promise<void> {
  const { config, docker, removeRemains, log } = machine;
  switch (what) {
    case "disk":
      await Promise.all([docker()?.makeRoom(config.prunesBuildCache), removeRemains()]);
      break;
    case "docker": {
      const command = config.dockerRestartCommand;
      if (command !== undefined && attempt >= firstRestartAttempt) {
        log.warn({ command }, "restarting Docker");
        await runCommand(command, machine.hostEnv);
      }
      docker()?.reconnect();
      break;
    }
    case "tasks":
      docker()?.reconnect();
      break;
    case "memory":
    case "clock":
      // Nothing here can give memory back, or set the clock.
      break;
  }
}

/** Rejects with what the command said where it fails or takes too long. */
function runCommand(command: string, env: Readonly<Record<string, string>>): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { env, timeout: restartDeadlineMs, killSignal: "SIGKILL" as const };
    execFile("sh", ["-c", command], options, (error, _stdout, stderr) => {
      if (error === null) resolve();
      else reject(new Error(stderr.trim() || error.message, { cause: error }));
    });
  });
}
