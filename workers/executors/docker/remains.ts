import type { Logger } from "../../../shared/log.ts";
import { checkOwner, type Owner, parseOwner } from "../../owner.ts";
import { withDeadline } from "../../retry.ts";
import { type DockerClient, dockerLabels } from "./docker-client.ts";
import { removeContainer, removeNetwork } from "./removal.ts";

const listDeadlineMs = 30_000;
/** Removals under way at once: the daemon has other things to do. */
const removalsAtOnce = 4;

/** Removes everything in Docker that carries a label with this value; resolves when it is gone. */
export async function removeLabelled(docker: DockerClient, label: string, value: string, log: Logger): Promise<void> {
  const { containers, networks } = await listLabelled(docker, `${label}=${value}`);
  await removeAll(docker, containers, networks, log);
}

/** Whose things are removed: of workers whose process is gone as seen from `own`, and of those known to be dead otherwise. */
export interface DeadOwners {
  own: Owner;
  deadWorkerIds: readonly string[];
}

/** Removes the containers of dead workers; tells how many there were. */
export async function removeDeadContainers(docker: DockerClient, dead: DeadOwners, log: Logger): Promise<number> {
  const { containers } = await listLabelled(docker, dockerLabels.owner);
  const theirs = await pickDead(containers, dead);
  await removeAll(docker, theirs, [], log);
  return theirs.length;
}

/** Removes the networks of dead workers, whose containers have gone; tells how many there were. */
export async function removeDeadNetworks(docker: DockerClient, dead: DeadOwners, log: Logger): Promise<number> {
  const { networks } = await listLabelled(docker, dockerLabels.owner);
  const theirs = await pickDead(networks, dead);
  await removeAll(docker, [], theirs, log);
  return theirs.length;
}

async function pickDead(items: readonly Labelled[], { own, deadWorkerIds }: DeadOwners): Promise<Labelled[]> {
  const verdicts = new Map<string, boolean>();
  for (const owner of new Set(items.map((item) => item.owner))) {
    const parsed = parseOwner(owner);
    verdicts.set(owner, parsed !== undefined && (await checkOwner(parsed, own)) === "dead");
  }
  return items.filter((item) => verdicts.get(item.owner) || deadWorkerIds.includes(item.worker));
}

interface Labelled {
  id: string;
  worker: string;
  owner: string;
  role: string;
}

async function listLabelled(
  docker: DockerClient,
  filter: string,
): Promise<{ containers: Labelled[]; networks: Labelled[] }> {
  const filters = { label: [filter] };
  const [containers, networks] = await withDeadline(
    Promise.all([docker.listContainers({ all: true, filters }), docker.listNetworks({ filters })]),
    listDeadlineMs,
    "listing what workers made in Docker",
  );
  const read = (id: string, labels: Record<string, string> | undefined): Labelled => ({
    id,
    worker: labels?.[dockerLabels.worker] ?? "",
    owner: labels?.[dockerLabels.owner] ?? "",
    role: labels?.[dockerLabels.role] ?? "",
  });
  return {
    containers: containers.map((container) => read(container.Id, container.Labels)),
    networks: networks.map((network) => read(network.Id, network.Labels)),
  };
}

async function removeAll(
  docker: DockerClient,
  containers: readonly Labelled[],
  networks: readonly Labelled[],
  log: Logger,
): Promise<void> {
  // What runs steps goes first: it may be working still.
  const steps = containers.filter((container) => container.role !== "pause");
  const pauses = containers.filter((container) => container.role === "pause");
  for (const group of [steps, pauses]) {
    await inBatches(group, (container) => removeContainer(docker, container.id, log));
  }
  await inBatches(networks, (network) => removeNetwork(docker, network.id, log));
}

async function inBatches<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < items.length; start += removalsAtOnce) {
    await Promise.all(items.slice(start, start + removalsAtOnce).map(work));
  }
}
