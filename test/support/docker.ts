import Docker from "dockerode";
import type { TestContext } from "vitest";
import { ensureBusyboxImage } from "./docker-images.ts";

let prepared: Promise<string | undefined> | undefined;

/**
 * Whether the test can use Docker with the image `busybox:stable`. Without Docker the test is skipped, loudly; in CI
 * that is a failure.
 */
export async function needDocker(context: TestContext): Promise<boolean> {
  prepared ??= prepareDocker();
  const problem = await prepared;
  if (problem === undefined) return true;
  if (process.env.CI) throw new Error(`this test needs Docker: ${problem}`);
  process.stderr.write(`SKIPPED without Docker (${problem}): ${context.task.name}\n`);
  context.skip();
  return false;
}

async function prepareDocker(): Promise<string | undefined> {
  try {
    const docker = new Docker();
    await docker.ping();
    await ensureBusyboxImage(docker);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Names of the containers and networks that carry a label of Sluice with this value (`<label>=<value>`). */
export async function listLeftovers(label: string, docker = new Docker()): Promise<string[]> {
  const filters = { label: [label] };
  const containers = await docker.listContainers({ all: true, filters });
  const networks = await docker.listNetworks({ filters });
  return [...containers.flatMap((container) => container.Names), ...networks.map((network) => network.Name)];
}
