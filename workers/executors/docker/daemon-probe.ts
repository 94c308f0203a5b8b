import type { HealthProblem } from "../../health/health-state.ts";
import { checkRoom } from "../../health/room.ts";
import { type DockerClient, dockerMessage, isConnectionError, statusOf } from "./docker-client.ts";
import { createPauseContainer } from "./namespace.ts";
import { ensurePauseImage } from "./pause-image.ts";

/** What a look at a daemon needs. */
export interface DaemonProbe {
  /** One that makes a connection for each call, or the answers of a daemon that is about to go would count. */
  docker: DockerClient;
  pauseImage: string;
  /** Of the container that is made; the next look removes what an earlier one left under it. */
  name: string;
  labels: Readonly<Record<string, string>>;
  /** The daemon's folder, where it is on this machine. */
  rootDir: string | undefined;
  deadlineMs: number;
}

/**
 * Whether a daemon does what tasks need of it: it makes a container and removes it, within the deadline; `closely` also
 * starts it. Tells what is wrong, undefined where nothing is.
 */
export async function probeDaemon(probe: DaemonProbe, closely: boolean): Promise<HealthProblem | undefined> {
  const { rootDir, deadlineMs } = probe;
  const full = rootDir === undefined ? undefined : await checkRoom(rootDir, deadlineMs);
  if (full !== undefined) return full;
  const abortSignal = AbortSignal.timeout(deadlineMs);
  try {
    await tryContainer(probe, closely, abortSignal);
    return undefined;
  } catch (error) {
    const words = dockerMessage(error);
    if (abortSignal.aborted && isConnectionError(error)) {
      return { what: "docker", detail: `Docker did not make a container within ${deadlineMs} ms` };
    }
    const isFull = /no space left|disk quota exceeded/i.test(words);
    return { what: isFull ? "disk" : "docker", detail: `Docker cannot make a container: ${words}` };
  }
}

async function tryContainer(probe: DaemonProbe, closely: boolean, abortSignal: AbortSignal): Promise<void> {
  const { docker, name } = probe;
  const container = docker.getContainer(name);
  await createAfresh(probe, abortSignal);
  try {
    if (!closely) return;
    await container.start({ abortSignal });
    const { State } = await container.inspect({ abortSignal });
    if (!State.Running) throw new Error(`it ended at once with exit code ${State.ExitCode}`);
  } finally {
    await container.remove({ force: true, v: true, abortSignal });
  }
}

async function createAfresh(probe: DaemonProbe, abortSignal: AbortSignal): Promise<void> {
  const { docker, name, pauseImage, labels } = probe;
  const isolation = { metadata: "reachable", addedCapabilities: [] } as const;
  const create = () =>
    createPauseContainer(
      { docker, pauseImage, isolation },
      { name, Labels: { ...labels }, HostConfig: { NetworkMode: "none" }, abortSignal },
    );
  try {
    await create();
  } catch (error) {
    // One that was made after its look had given up; or somebody has removed the image.
    if (statusOf(error) === 409) await docker.getContainer(name).remove({ force: true, v: true, abortSignal });
    else if (statusOf(error) === 404) await ensurePauseImage(docker);
    else throw error;
    await create();
  }
}
