import { readFile } from "node:fs/promises";
import type Docker from "dockerode";
import { hasCode } from "../../../shared/error-code.ts";
import { withDeadline } from "../../retry.ts";
import type { DockerClient } from "./docker-client.ts";

const callDeadlineMs = 10_000;

export interface EndExecOptions {
  docker: DockerClient;
  containerId: string;
  exec: Docker.Exec;
  /** Ends a process group of this machine; throws EPERM where only its owner may. */
  killGroup?: (leader: number) => void;
}

/**
 * Ends what an exec has started inside a container, with its process group, which Docker has no call for: from outside
 * where the worker may, else from inside as the container's own user, by the image's shell. Answers why it could not.
 */
export async function endExec(options: EndExecOptions): Promise<string | undefined> {
  const { docker, containerId, exec, killGroup = (leader) => process.kill(-leader, "SIGKILL") } = options;
  const { Running, Pid } = await withDeadline(exec.inspect(), callDeadlineMs, "the inspection of a command");
  if (!Running || Pid === 0) return undefined;
  const insidePid = await findInsidePid(Pid, containerId);
  if (insidePid === undefined) return "Docker's processes cannot be seen from here";
  try {
    killGroup(Pid);
    return undefined;
  } catch (error) {
    if (hasCode(error, "ESRCH")) return undefined;
    if (!hasCode(error, "EPERM")) throw error;
  }
  const command = ["sh", "-c", `kill -s KILL -- -${insidePid}`];
  const killer = await withDeadline(
    docker.getContainer(containerId).exec({ Cmd: command }),
    callDeadlineMs,
    "making a command",
  );
  await withDeadline(killer.start({ Detach: true }), callDeadlineMs, "the start of a command");
  return undefined;
}

/**
 * What a process is called inside its container. Undefined where this machine does not show it, or shows another one of
 * that number: Docker may run elsewhere, in a virtual machine, or outside of the worker's own container.
 */
async function findInsidePid(pid: number, containerId: string): Promise<number | undefined> {
  try {
    const [cgroups, status] = await Promise.all(
      ["cgroup", "status"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8")),
    );
    if (!cgroups?.includes(containerId)) return undefined;
    return Number(/^NSpid:.*\s(\d+)$/m.exec(status ?? "")?.[1]) || undefined;
  } catch (error) {
    // Gone, or a system without such files.
    if (hasCode(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
}
