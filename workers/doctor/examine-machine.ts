import { execFile } from "node:child_process";
import { access, constants, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Finding } from "../../shared/domain/finding.ts";
import { makeFolder } from "../../shared/make-folder.ts";
import { stopMarginMs } from "../drain-plan.ts";
import { messageOf } from "../retry.ts";
import { parseTimespan } from "../service-manager.ts";

const run = promisify(execFile);
const systemctlDeadlineMs = 5_000;
/** What engines in package.json says. */
const leastNodeMajor = 24;

/** Whether this Node can run a worker. */
export function examineNode(nodeVersion: string): Finding {
  const major = Number(/^v?(\d+)/.exec(nodeVersion)?.[1]);
  if (major >= leastNodeMajor) return { check: "Node", status: "ok", detail: nodeVersion };
  return { check: "Node", status: "failed", detail: `${nodeVersion}: at least ${leastNodeMajor} is needed` };
}

/** Whether workspaces can be made in a folder, and only its owner can look into them. */
export async function examineWorkDir(workDir: string): Promise<Finding> {
  const check = "work folder";
  const probe = join(workDir, `.doctor-${process.pid}`);
  try {
    await makeFolder(workDir, 0o700);
    await writeFile(probe, "a worker's doctor was here\n", { mode: 0o600 });
    await rm(probe);
    const { mode } = await stat(workDir);
    if ((mode & 0o002) !== 0 && (mode & 0o1000) === 0) {
      return { check, status: "failed", detail: `anybody may remove what is in ${workDir}: chmod 700 ${workDir}` };
    }
    return { check, status: "ok", detail: workDir };
  } catch (error) {
    return {
      check,
      status: "failed",
      detail: `${messageOf(error)}: the worker makes its workspaces there (SLUICE_WORK_DIR)`,
    };
  }
}

/**
 * Whether systemd waits for as long as a drain takes. Skipped where there is no such service.
 */
export async function examineStopTimeout(drainMs: number, unit = "sluice-worker.service"): Promise<Finding> {
  const check = "stop timeout";
  let text: string;
  try {
    const args = ["show", unit, "--property=LoadState,TimeoutStopUSec"];
    text = (await run("systemctl", args, { timeout: systemctlDeadlineMs })).stdout;
  } catch (error) {
    return { check, status: "skipped", detail: `systemd does not answer: ${messageOf(error).split("\n")[0]}` };
  }
  const properties = Object.fromEntries(
    text
      .trim()
      .split("\n")
      .map((line) => line.split("=", 2)),
  );
  if (properties.LoadState !== "loaded") return { check, status: "skipped", detail: `there is no ${unit}` };
  return judgeStopTimeout(drainMs, properties.TimeoutStopUSec ?? "");
}

/** Compares systemd's word for a span of time, such as `1min 30s`, with the time of a drain. */
export function judgeStopTimeout(drainMs: number, timeout: string): Finding {
  const check = "stop timeout";
  if (timeout === "infinity") return { check, status: "ok", detail: "systemd waits for as long as it takes" };
  const timeoutMs = parseTimespan(timeout);
  if (timeoutMs === undefined) return { check, status: "skipped", detail: `systemd says '${timeout}'` };
  if (timeoutMs >= drainMs + stopMarginMs)
    return { check, status: "ok", detail: `${timeout}, a drain takes ${drainMs} ms` };
  return {
    check,
    status: "failed",
    detail: `${timeout}, but a drain takes up to ${drainMs} ms: set TimeoutStopSec to ${Math.ceil((drainMs + stopMarginMs) / 1000)} or more`,
  };
}

/** Whether the disk of a folder that may not be there yet can be asked about. */
export async function findExistingFolder(path: string): Promise<string> {
  try {
    await access(path, constants.F_OK);
    return path;
  } catch (error) {
    const parent = dirname(path);
    if (parent === path) throw error;
    return findExistingFolder(parent);
  }
}
