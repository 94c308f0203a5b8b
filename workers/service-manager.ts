import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
/** The worker's start must not wait for a service manager that hangs. */
const askDeadlineMs = 2_000;

const unitMs: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds of a time as systemd prints it, such as `1min 30s`; undefined where it is none, or endless. */
export function parseTimespan(text: string): number | undefined {
  const words = text.trim().split(/\s+/);
  let totalMs = 0;
  for (const word of words) {
    const match = /^(\d+(?:\.\d+)?)(us|ms|s|min|h|d|w)$/.exec(word);
    if (match === null) return undefined;
    totalMs += Number(match[1]) * (unitMs[match[2] ?? ""] ?? Number.NaN);
  }
  return totalMs;
}

/** The unit of systemd that a process runs in, by its cgroups; undefined where it is in none. */
export function findUnit(cgroups: string): string | undefined {
  return /\/([^/\n]+\.service)(?:\/[^\n]*)?$/m.exec(cgroups)?.[1];
}

/**
 * How long systemd waits after SIGTERM before it kills this process, in milliseconds; undefined where it does not run
 * this process, or does not say.
 */
export async function readStopTimeout(env: Readonly<Record<string, string | undefined>>): Promise<number | undefined> {
  // What a unit runs passes its environment on to what it starts: only its own process asks.
  const isUnit =
    env.INVOCATION_ID !== undefined && (env.SYSTEMD_EXEC_PID ?? String(process.pid)) === String(process.pid);
  if (!isUnit) return undefined;
  try {
    const unit = findUnit(await readFile("/proc/self/cgroup", "utf8"));
    if (unit === undefined) return undefined;
    const options = { timeout: askDeadlineMs, killSignal: "SIGKILL" as const };
    const { stdout } = await run("systemctl", ["show", "--property=TimeoutStopUSec", "--value", unit], options);
    return parseTimespan(stdout);
  } catch {
    // A machine without systemctl, or one that does not let us ask: what the environment says counts.
    return undefined;
  }
}
