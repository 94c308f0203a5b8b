import type { Logger } from "../../../shared/log.ts";
import { retryWithBackoff, withDeadline } from "../../retry.ts";
import { type DockerClient, dockerMessage, statusOf } from "./docker-client.ts";

const callDeadlineMs = 30_000;
const maxElapsedMs = 60_000;

/** Removes a container with its anonymous volumes, also a running one; false where Docker did not manage to. */
export function removeContainer(docker: DockerClient, containerId: string, log: Logger): Promise<boolean> {
  return removeUntilGone(
    () => docker.getContainer(containerId).remove({ force: true, v: true }),
    () => docker.getContainer(containerId).inspect(),
    `container ${containerId.slice(0, 12)}`,
    log,
  );
}

/** Removes a network; false where Docker did not manage to. */
export function removeNetwork(docker: DockerClient, networkId: string, log: Logger): Promise<boolean> {
  return removeUntilGone(
    () => docker.getNetwork(networkId).remove(),
    () => docker.getNetwork(networkId).inspect(),
    `network ${networkId.slice(0, 12)}`,
    log,
  );
}

async function removeUntilGone(
  remove: () => Promise<unknown>,
  inspect: () => Promise<unknown>,
  what: string,
  log: Logger,
): Promise<boolean> {
  const removeOnce = async () => {
    try {
      await withDeadline(remove(), callDeadlineMs, `the removal of ${what}`);
    } catch (error) {
      if (statusOf(error) === 404) return;
      // 409: somebody else is removing it; it is gone when it cannot be found any more.
      if (statusOf(error) !== 409 || (await isThere(inspect))) throw error;
    }
  };
  try {
    await retryWithBackoff(removeOnce, { firstDelayMs: 100, maxDelayMs: 2_000, maxElapsedMs });
    return true;
  } catch (error) {
    log.error({ reason: dockerMessage(error) }, `${what} could not be removed; the next start of a worker tries again`);
    return false;
  }
}

async function isThere(inspect: () => Promise<unknown>): Promise<boolean> {
  try {
    await withDeadline(inspect(), callDeadlineMs, "the inspection");
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}
