import type { ContainerCreateOptions } from "dockerode";
import type { Logger } from "../../../shared/log.ts";
import { withDeadline } from "../../retry.ts";
import { type DockerClient, dockerLabels } from "./docker-client.ts";
import { grantOnly } from "./isolation.ts";
import { removeContainer } from "./removal.ts";
import { startContainer } from "./step-container.ts";

const createDeadlineMs = 60_000;
const runDeadlineMs = 60_000;
const inside = "/sluice-remains";

/** A program of an image, and the folder of this machine that it works on; it is told where it finds that one. */
export interface FolderRun {
  image: string;
  folder: string;
  command: (inside: string) => string[];
  labels: Readonly<Record<string, string>>;
  limits: ContainerCreateOptions["HostConfig"];
  log: Logger;
}

/** Runs a program of a job's image on a folder of the workspace, as the one user who may do anything there. */
export async function runOnFolder(docker: DockerClient, run: FolderRun): Promise<void> {
  const { image, folder, command, labels, limits, log } = run;
  const creation = docker.createContainer({
    Image: image,
    User: "0",
    Entrypoint: command(inside),
    Labels: { ...labels, [dockerLabels.role]: "cleaner" },
    HostConfig: {
      NetworkMode: "none",
      LogConfig: { Type: "none", Config: {} },
      // The program is one of the job's image.
      ...grantOnly(["CHOWN", "DAC_OVERRIDE", "FOWNER"]),
      ...limits,
      Mounts: [{ Type: "bind", Source: folder, Target: inside }],
    },
  });
  const container = await withDeadline(creation, createDeadlineMs, "creating a container");
  try {
    await startContainer(docker, container.id);
    await withDeadline(container.wait({ condition: "not-running" }), runDeadlineMs, "tidying up a workspace");
  } finally {
    await removeContainer(docker, container.id, log);
  }
}
