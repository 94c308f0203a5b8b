import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { hasCode } from "../../shared/error-code.ts";
import { type CgroupController, type CgroupPlace, cgroupControllers } from "./cgroup-files.ts";

/** Where a machine has its cgroups; in a mixed set-up version 1 holds the controllers. */
export interface CgroupMounts {
  version: "1" | "2";
  /** Mount points, each with the path inside the hierarchy that is mounted there; `unified` is version 2. */
  mounts: Partial<Record<CgroupController | "unified", { point: string; root: string }>>;
}

/** The driver by which a daemon names the cgroups of its containers. */
export type CgroupDriver = "cgroupfs" | "systemd";

/** Reads where cgroups are mounted; undefined on a machine without them. `procFolder` is for tests. */
export function readCgroupMounts(procFolder = "/proc"): CgroupMounts | undefined {
  const mounts: CgroupMounts["mounts"] = {};
  for (const line of readOptional(join(procFolder, "self/mountinfo")).split("\n")) {
    // Fields 4 and 5 are root and mount point; behind the dash: type, source, options.
    const [mount = "", origin = ""] = line.split(" - ");
    const [, , , root, point] = mount.split(" ");
    const [type, , options = ""] = origin.split(" ");
    if (root === undefined || point === undefined) continue;
    if (type === "cgroup2") mounts.unified ??= { point, root };
    if (type !== "cgroup") continue;
    for (const controller of cgroupControllers) {
      if (options.split(",").includes(controller)) mounts[controller] ??= { point, root };
    }
  }
  if (mounts.memory !== undefined && mounts.cpuacct !== undefined) return { version: "1", mounts };
  return mounts.unified === undefined ? undefined : { version: "2", mounts };
}

/** The cgroup of a container where its daemon makes it by default; undefined where it is not there. */
export function findContainerCgroup(
  mounts: CgroupMounts,
  driver: CgroupDriver,
  containerId: string,
): CgroupPlace | undefined {
  const path = driver === "systemd" ? `system.slice/docker-${containerId}.scope` : `docker/${containerId}`;
  return toPlace(mounts, () => `/${path}`, true);
}

/** The cgroup that a process is in, such as that of a container whose daemon keeps its cgroups elsewhere. */
export function findProcessCgroup(mounts: CgroupMounts, pid: number, procFolder = "/proc"): CgroupPlace | undefined {
  const paths = new Map<string, string>();
  for (const line of readOptional(join(procFolder, `${pid}/cgroup`)).split("\n")) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    const [, controllers = "", path = ""] = match;
    for (const controller of controllers === "" ? ["unified"] : controllers.split(",")) paths.set(controller, path);
  }
  return paths.size === 0 ? undefined : toPlace(mounts, (controller) => paths.get(controller), false);
}

function toPlace(
  { version, mounts }: CgroupMounts,
  pathOf: (controller: CgroupController | "unified") => string | undefined,
  isBelowRoot: boolean,
): CgroupPlace | undefined {
  const folderOf = (controller: CgroupController | "unified") => {
    const mount = mounts[controller];
    const path = pathOf(controller);
    if (mount === undefined || path === undefined) return undefined;
    // What is mounted may be a part of the hierarchy only; a path of a process starts at the hierarchy's root.
    const folder = join(mount.point, isBelowRoot ? path : relative(mount.root, path));
    return existsSync(folder) ? folder : undefined;
  };
  if (version === "2") {
    const folder = folderOf("unified");
    return folder === undefined ? undefined : { version, folder };
  }
  const found = cgroupControllers.flatMap((controller) => {
    const folder = folderOf(controller);
    return folder === undefined ? [] : [[controller, folder] as const];
  });
  const folders: Partial<Record<CgroupController, string>> = Object.fromEntries(found);
  return folders.cpuacct === undefined || folders.memory === undefined ? undefined : { version, folders };
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH", "EACCES", "ENOTDIR")) return "";
    throw error;
  }
}
