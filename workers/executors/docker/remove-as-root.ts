import { access } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Logger } from "../../../shared/log.ts";
import { withDeadline } from "../../retry.ts";
import { type DockerClient, dockerLabels } from "./docker-client.ts";
import { grantOnly } from "./isolation.ts";
import { removeContainer } from "./removal.ts";
import { startContainer } from "./step-container.ts";

const callDeadlineMs = 60_000;
/** Trees of some hundred thousand files take minutes. */
const removeDeadlineMs = 600_000;
const inside = "/sluice-remains";
/** Whatever may be mounted below the folder is not the worker's. (The library's types lack the first of these.) */
const withoutMounts = { NonRecursive: true, Propagation: "rprivate" as const };
/** Where the machine has its `rm` and what that needs. */
const programFolders = ["/bin", "/lib", "/lib64", "/usr"];

/**
 * Removes a folder with files of any user, by the `rm` of this machine in a container: no image of a job has a part in
 * it. Throws where Docker cannot, or files are left.
 */
export async function removeAsRoot(
  docker: DockerClient,
  options: { image: string; labels: Readonly<Record<string, string>>; folder: string; log: Logger },
): Promise<void> {
  const { image, labels, folder, log } = options;
  const present = await Promise.all(
    programFolders.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  const programs = programFolders.filter((_, index) => present[index]);
  const creation = docker.createContainer({
    Image: image,
    User: "0",
    Entrypoint: ["/bin/rm", "-rf", "--", `${inside}/${basename(folder)}`],
    Labels: { ...labels, [dockerLabels.role]: "cleaner" },
    HostConfig: {
      NetworkMode: "none",
      LogConfig: { Type: "none", Config: {} },
      ...grantOnly(["DAC_OVERRIDE", "FOWNER"]),
      Mounts: [
        ...programs.map((path) => ({ Type: "bind" as const, Source: path, Target: path, ReadOnly: true })),
        { Type: "bind", Source: dirname(folder), Target: inside, BindOptions: withoutMounts },
      ],
    },
  });
  const container = await withDeadline(creation, callDeadlineMs, "creating a container");
  try {
    await startContainer(docker, container.id);
    const end = container.wait({ condition: "not-running" }) as Promise<{ StatusCode: number }>;
    const { StatusCode } = await withDeadline(end, removeDeadlineMs, "removing a folder");
    if (StatusCode !== 0) throw new Error(`rm ended with ${StatusCode}`);
  } finally {
    await removeContainer(docker, container.id, log);
  }
}
