import { Header } from "tar";
import type { Logger } from "../../../shared/log.ts";
import { retryWithBackoff, withDeadline } from "../../retry.ts";
import { type DockerClient, dockerLabels, dockerMessage } from "./docker-client.ts";
import { pauseProgram } from "./pause-image.ts";
import { removeContainer, removeNetwork } from "./removal.ts";

const callDeadlineMs = 60_000;
/** Docker hands out about thirty networks by default; when they are all in use, one of them becomes free some time. */
const firstExhaustedDelayMs = 250;
const maxExhaustedDelayMs = 5_000;

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

const nameFilePaths = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"];

export interface NamespaceOptions {
  docker: DockerClient;
  pauseImage: string;
  name: string;
  labels: Readonly<Record<string, string>>;
  log: Logger;
  /** Ends the wait for a free network address range. */
  signal: AbortSignal;
}

/** Makes a namespace. Where that fails something may be left: `removeNamespace` finds it by its name. */
export async function createNamespace(options: NamespaceOptions): Promise<Namespace> {
  const networkId = await createNetwork(options);
  const pauseId = await createPauseContainer(options);
  await withDeadline(options.docker.getContainer(pauseId).start(), callDeadlineMs, "the start of a namespace");
  return { pauseId, networkId, uses: 0, nameFiles: await readNameFiles(options.docker, pauseId) };
}

/**
 * Removes a namespace, first its container, then the network that nobody is in any more; false where Docker did not
 * manage to. Names do as well as ids: of what was made by a call whose answer never came, only the name is known.
 */
export async function removeNamespace(
  docker: DockerClient,
  namespace: { pauseId: string; networkId: string },
  log: Logger,
): Promise<boolean> {
  const removed = await removeContainer(docker, namespace.pauseId, log);
  return (await removeNetwork(docker, namespace.networkId, log)) && removed;
}

/** Waits while Docker has no address range left: it is short of networks, not broken. */
function createNetwork({ docker, name, labels, log, signal }: NamespaceOptions): Promise<string> {
  const create = async () => {
    const creation = docker.createNetwork({
      Name: name,
      Driver: "bridge",
      Labels: { ...labels, [dockerLabels.role]: "network" },
    });
    return (await withDeadline(creation, callDeadlineMs, "the creation of a network")).id;
  };
  return retryWithBackoff(create, {
    signal,
    firstDelayMs: firstExhaustedDelayMs,
    maxDelayMs: maxExhaustedDelayMs,
    isRetryable: isAddressPoolExhausted,
    onFailure: (error) => {
      if (isAddressPoolExhausted(error)) log.info("Docker has no address range left for a network: waiting for one");
    },
  });
}

/** Tells whether an error says that all address ranges of Docker are in use. */
export function isAddressPoolExhausted(error: unknown): boolean {
  return /could not find an available.* address pool|all predefined address pools have been fully subnetted/i.test(
    dockerMessage(error),
  );
}

async function createPauseContainer({ docker, pauseImage, name, labels }: NamespaceOptions): Promise<string> {
  const creation = docker.createContainer({
    name,
    Image: pauseImage,
    Entrypoint: [pauseProgram],
    Hostname: "sluice",
    Labels: { ...labels, [dockerLabels.role]: "pause" },
    HostConfig: {
      NetworkMode: name,
      LogConfig: { Type: "none", Config: {} },
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
    },
  });
  return (await withDeadline(creation, callDeadlineMs, "the creation of a namespace")).id;
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
