import { statfs } from "node:fs/promises";
import type { Finding } from "../../../shared/domain/finding.ts";
import type { Logger } from "../../../shared/log.ts";
import type { DockerAddress } from "../../docker-address.ts";
import { messageOf, withDeadline } from "../../retry.ts";
import { createDockerClient, type DockerClient, dockerLabels, explainUnreachable } from "./docker-client.ts";
import type { Isolation } from "./isolation.ts";
import { createNamespace, removeNamespace } from "./namespace.ts";
import { ensurePauseImage } from "./pause-image.ts";
import { removeLabelled } from "./remains.ts";

const infoDeadlineMs = 30_000;
const bytesPerGb = 1e9;
/** With less the first image may not fit. */
const leastFreeGb = 5;

export interface ExamineDockerOptions {
  address: DockerAddress;
  isolation: Isolation;
  /** Labels of what is made on the way, which is removed again. */
  labels: { worker: string; owner: string };
  log: Logger;
}

/** What a worker needs of Docker, looked at as a task would: its version, its room, and a network that is made. */
export async function examineDocker(options: ExamineDockerOptions): Promise<Finding[]> {
  const docker = await createDockerClient(options.address, false);
  const unreachable = await explainUnreachable(docker, options.address);
  if (unreachable !== undefined) return [{ check: "Docker", status: "failed", detail: unreachable }];
  const { findings, rootDir } = await examineDaemon(docker);
  const room = await examineRoom("Docker's disk", rootDir);
  return [...findings, room, await examineNetwork(docker, options)];
}

/** Of `docker info`, what the library's types lack. */
interface DaemonInfo {
  ServerVersion?: string;
  Driver?: string;
  CgroupVersion?: string;
  CgroupDriver?: string;
  DockerRootDir?: string;
  MemoryLimit?: boolean;
  CpuCfsQuota?: boolean;
  PidsLimit?: boolean;
}

async function examineDaemon(docker: DockerClient): Promise<{ findings: Finding[]; rootDir: string }> {
  const info: DaemonInfo = await withDeadline(docker.info(), infoDeadlineMs, "docker info");
  const limits = { memory: info.MemoryLimit, cpus: info.CpuCfsQuota, pids: info.PidsLimit };
  const missing = Object.entries(limits).flatMap(([name, isKnown]) => (isKnown === false ? [name] : []));
  const detail = `${info.ServerVersion}, storage ${info.Driver}, cgroup v${info.CgroupVersion ?? "1"} (${info.CgroupDriver})`;
  return {
    rootDir: info.DockerRootDir ?? "",
    findings: [
      missing.length === 0
        ? { check: "Docker", status: "ok", detail }
        : {
            check: "Docker",
            status: "warning",
            detail: `${detail}; its kernel cannot limit ${missing.join(", ")}: \`resources\` of jobs are not enforced`,
          },
    ],
  };
}

/** How much room a folder's disk has; skipped where the folder cannot be asked, such as one of another machine. */
export async function examineRoom(check: string, folder: string): Promise<Finding> {
  try {
    const { bavail, bsize, blocks, files, ffree } = await statfs(folder);
    const [freeGb, allGb] = [(bavail * bsize) / bytesPerGb, (blocks * bsize) / bytesPerGb];
    const detail = `${freeGb.toFixed(1)} of ${allGb.toFixed(0)} GB free in ${folder}`;
    if (freeGb < leastFreeGb)
      return { check, status: "failed", detail: `${detail}: at least ${leastFreeGb} GB are needed` };
    if (files > 0 && ffree / files < 0.05) {
      return {
        check,
        status: "warning",
        detail: `${detail}, but only ${ffree} of ${files} files can still be made there`,
      };
    }
    return { check, status: "ok", detail };
  } catch (error) {
    return { check, status: "skipped", detail: messageOf(error) };
  }
}

async function examineNetwork(docker: DockerClient, options: ExamineDockerOptions): Promise<Finding> {
  const { isolation, labels, log } = options;
  const check = "networks";
  try {
    const pauseImage = await ensurePauseImage(docker);
    const name = `sluice-doctor-${process.pid}`;
    const ownLabels = { [dockerLabels.worker]: labels.worker, [dockerLabels.owner]: labels.owner };
    const namespace = await createNamespace({ docker, pauseImage, name, labels: ownLabels, isolation });
    await removeNamespace(docker, namespace, log);
    if (isolation.metadata === "blocked") {
      return { check, status: "ok", detail: "can be made; the metadata service cannot be reached from them" };
    }
    return {
      check,
      status: "warning",
      detail: "can be made; tasks can reach the machine's metadata service (SLUICE_METADATA)",
    };
  } catch (error) {
    await removeLabelled(docker, dockerLabels.worker, labels.worker, log);
    return { check, status: "failed", detail: messageOf(error) };
  }
}
