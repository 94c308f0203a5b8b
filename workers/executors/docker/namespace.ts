import type { Readable } from "node:stream";
import type { ContainerCreateOptions } from "dockerode";
import { Header } from "tar";
import type { Logger } from "../../../shared/log.ts";
import { withDeadline } from "../../retry.ts";
import { type DockerClient, dockerLabels, dockerMessage, statusOf } from "./docker-client.ts";
import { grantOnly, type Isolation } from "./isolation.ts";
import { pauseProgram } from "./pause-image.ts";
import { removeContainer, removeNetwork } from "./removal.ts";
import { startContainer } from "./step-container.ts";

const callDeadlineMs = 60_000;

/**
 * A network namespace with a bridge network of its own, held open by a waiting container. The containers of one task
 * join it; tasks share nothing, as each has it alone.
 */
export interface Namespace {
  pauseId: string;
  networkId: string;
  /** Tasks that have had it. */
  uses: number;
  /**
   * The files by which Docker tells names. Containers that join a namespace would share the very files of its
   * waiting container, and a task could leave lines in them for the next; so each task gets copies.
   */
  nameFiles: readonly NameFile[];
}

export interface NameFile {
  /** Path inside containers. */
  path: string;
  content: Buffer;
}

/** Tells the pause program to leave the routes as Docker made them. */
const keepRoutes = "keep-routes";
const nameFilePaths = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"];

export interface NamespaceOptions {
  docker: DockerClient;
  pauseImage: string;
  name: string;
  labels: Readonly<Record<string, string>>;
  isolation: Isolation;
}

/** Makes a namespace. Where that fails something may be left, labelled with the name: others may have the name itself. */
export async function createNamespace(options: NamespaceOptions): Promise<Namespace> {
  const networkId = await createNetwork(options);
  const { docker, name, labels } = options;
  const pauseId = await createPauseContainer(options, {
    name,
    Hostname: "sluice",
    Labels: { ...labels, [dockerLabels.namespace]: name },
    HostConfig: { NetworkMode: networkId },
  });
  await startPauseContainer(docker, pauseId);
  return { pauseId, networkId, uses: 0, nameFiles: await readNameFiles(docker, pauseId) };
}

/**
 * Removes a namespace, first its container, then the network that nobody is in any more; false where Docker did not
 * manage to.
 */
export async function removeNamespace(
  docker: DockerClient,
  namespace: Pick<Namespace, "pauseId" | "networkId">,
  log: Logger,
): Promise<boolean> {
  const removed = await removeContainer(docker, namespace.pauseId, log);
  return (await removeNetwork(docker, namespace.networkId, log)) && removed;
}

async function createNetwork({ docker, name, labels }: NamespaceOptions): Promise<string> {
  const creation = docker.createNetwork({
    Name: name,
    // Older daemons make a second network of the same name, and then do not know which one is meant.
    CheckDuplicate: true,
    Driver: "bridge",
    Labels: { ...labels, [dockerLabels.namespace]: name, [dockerLabels.role]: "network" },
  });
  return (await withDeadline(creation, callDeadlineMs, "the creation of a network")).id;
}

/**
 * Tells whether a namespace could not be made for something that passes: all address ranges of Docker (about thirty by
 * default) are in use, two daemons of one machine took the same, or somebody else has the name.
 */
export function isPassingNetworkFault(error: unknown): boolean {
  const message = dockerMessage(error);
  return (
    /could not find an available.* address pool|all predefined address pools have been fully subnetted/i.test(
      message,
    ) ||
    /pool overlaps with other one|networks have overlapping/i.test(message) ||
    (statusOf(error) === 409 && /already (exists|in use)/i.test(message))
  );
}

/** Creates a container that holds a network namespace open. */
export async function createPauseContainer(
  options: Pick<NamespaceOptions, "docker" | "pauseImage" | "isolation">,
  own: Omit<ContainerCreateOptions, "Image">,
): Promise<string> {
  const { docker, pauseImage, isolation } = options;
  const isBlocked = isolation.metadata === "blocked";
  const creation = docker.createContainer({
    ...own,
    Image: pauseImage,
    Entrypoint: isBlocked ? [pauseProgram] : [pauseProgram, keepRoutes],
    AttachStdout: true,
    Labels: { ...own.Labels, [dockerLabels.role]: "pause" },
    HostConfig: {
      ...own.HostConfig,
      LogConfig: { Type: "none", Config: {} },
      ReadonlyRootfs: true,
      // Routes of this namespace, for the one program that is in the image; nothing of a task runs in this container.
      ...grantOnly(isBlocked ? ["NET_ADMIN"] : []),
    },
  });
  return (await withDeadline(creation, callDeadlineMs, "the creation of a namespace")).id;
}

/** Starts such a container; resolves once its namespace is as it should be, so that nothing of a task runs before. */
export async function startPauseContainer(docker: DockerClient, pauseId: string): Promise<void> {
  const attaching = docker.getContainer(pauseId).attach({ stream: true, stdout: true, hijack: true });
  const output = (await withDeadline<unknown>(attaching, callDeadlineMs, "attaching to a container")) as Readable;
  try {
    const said = withDeadline(saysAnything(output), callDeadlineMs, "the start of a namespace");
    // It is awaited after the start, which may fail first.
    said.catch(() => undefined);
    await startContainer(docker, pauseId);
    if (await said) return;
    const { State } = await withDeadline(docker.getContainer(pauseId).inspect(), callDeadlineMs, "the inspection");
    throw new Error(
      `the network of a task could not be cut off from the machine's metadata service (error ${State.ExitCode} of the ` +
        "kernel): SLUICE_METADATA=reachable does without, where tasks may have the credentials of the machine",
    );
  } finally {
    output.destroy();
  }
}

/** Whether anything comes before the end. */
async function saysAnything(output: Readable): Promise<boolean> {
  for await (const _ of output) return true;
  return false;
}

function readNameFiles(docker: DockerClient, pauseId: string): Promise<NameFile[]> {
  return Promise.all(
    nameFilePaths.map(async (path) => {
      const archive = await docker.getContainer(pauseId).getArchive({ path });
      return { path, content: await readOnlyMember(archive) };
    }),
  );
}

/** The content of the one file in a tar stream. */
async function readOnlyMember(archive: NodeJS.ReadableStream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of archive) pieces.push(piece as Buffer);
  const tar = Buffer.concat(pieces);
  const { size } = new Header(tar, 0);
  return tar.subarray(512, 512 + (size ?? 0));
}
