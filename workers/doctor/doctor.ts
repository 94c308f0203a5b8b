import type { Finding } from "../../shared/domain/finding.ts";
import { newWorkerId } from "../../shared/domain/ids.ts";
import { createLogger } from "../../shared/log.ts";
import type { WorkerConfig } from "../config.ts";
import { createControlPlaneClient } from "../control-plane-client.ts";
import { examineDocker, examineRoom } from "../executors/docker/examine-docker.ts";
import type { LoadedConfig } from "../load-config.ts";
import { formatOwner, readOwner } from "../owner.ts";
import { examineControlPlane } from "./examine-control-plane.ts";
import { examineNode, examineStopTimeout, examineWorkDir, findExistingFolder } from "./examine-machine.ts";

const marks: Record<Finding["status"], string> = { ok: "ok", warning: "warning", failed: "FAILED", skipped: "skipped" };

export interface DoctorOptions {
  loaded: LoadedConfig;
  version: string;
  build: string | undefined;
  nodeVersion: string;
  json: boolean;
  write: (text: string) => void;
}

/** `sluice-worker doctor`: says what is missing for a worker to run here; resolves with its exit code, 0 or 1. */
export async function runDoctor(options: DoctorOptions): Promise<number> {
  const { version, build, json, write } = options;
  const findings = await examineAll(options);
  const failed = findings.some(({ status }) => status === "failed");
  if (json) {
    write(`${JSON.stringify({ version, build, healthy: !failed, findings })}\n`);
  } else {
    const width = Math.max(...findings.map(({ check }) => check.length));
    write(`sluice-worker ${version}${build === undefined ? "" : ` (${build})`}\n`);
    for (const { check, status, detail } of findings) {
      write(`  ${check.padEnd(width)}  ${marks[status].padEnd(7)}  ${detail}\n`);
    }
  }
  return failed ? 1 : 0;
}

async function examineAll({ loaded, version, nodeVersion }: DoctorOptions): Promise<Finding[]> {
  const { parsed, warnings } = loaded;
  const node = examineNode(nodeVersion);
  const notes = warnings.map((detail): Finding => ({ check: "configuration", status: "warning", detail }));
  if (!parsed.ok) {
    const problems = parsed.problems.map((detail): Finding => ({ check: "configuration", status: "failed", detail }));
    return [node, ...problems, ...notes];
  }
  const { config } = parsed;
  const client = createControlPlaneClient(config.controlPlaneUrl, config.token);
  try {
    const groups = await Promise.all([
      examineControlPlane({
        url: config.controlPlaneUrl,
        version,
        client,
        unusedWorkerId: newWorkerId(Date.now()),
        nowMs: Date.now,
      }),
      examineSteps(config),
      examineFolders(config),
      examineStopTimeout(config.drain.drainMs),
    ]);
    const told = `pool ${config.pool}, ${config.slots} slots, on ${config.provider}`;
    return [node, { check: "configuration", status: "ok", detail: told }, ...notes, ...groups.flat()];
  } finally {
    client.close();
  }
}

async function examineSteps(config: WorkerConfig): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (config.executors.includes("docker")) {
    const labels = { worker: newWorkerId(Date.now()), owner: formatOwner(await readOwner()) };
    const log = createLogger("doctor", { level: "silent" });
    findings.push(...(await examineDocker({ address: config.docker, isolation: config.isolation, labels, log })));
  }
  if (config.executors.includes("process")) {
    const detail = "steps without an image run on this machine as the worker's user (SLUICE_EXECUTORS)";
    findings.push({ check: "host steps", status: config.provider === "local" ? "ok" : "warning", detail });
  }
  return findings;
}

async function examineFolders(config: WorkerConfig): Promise<Finding[]> {
  const folder = await examineWorkDir(config.workDir);
  const room = await examineRoom("disk", await findExistingFolder(config.workDir));
  return [folder, room];
}
