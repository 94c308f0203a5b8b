import { Agent } from "node:http";
import type Docker from "dockerode";
import { type DockerAddress, formatDockerAddress } from "../../docker-address.ts";
import { messageOf, withDeadline } from "../../retry.ts";

export type DockerClient = Docker;

/** How long the daemon may take to say that it is there. */
const pingDeadlineMs = 3_000;

/** The labels by which everything that workers make in Docker is found again. */
export const dockerLabels = {
  worker: "sluice.worker",
  /** The process it belongs to (`formatOwner`): without it nobody needs it any more. */
  owner: "sluice.owner",
  attempt: "sluice.attempt",
  namespace: "sluice.namespace",
  /** `step`, `service`, `pause`, `network` or `cleaner`. */
  role: "sluice.role",
} as const;

/**
 * A client; `keep` its connections for the next calls, or make a new one for each. The library is loaded here, late: it
 * takes a fifth of a second.
 */
export async function createDockerClient(address: DockerAddress, keep: boolean): Promise<DockerClient> {
  const { default: DockerConstructor } = await import("dockerode");
  const agent = new Agent({ keepAlive: keep });
  return address.kind === "socket"
    ? // Without an explicit host the library would follow DOCKER_HOST on its own.
      new DockerConstructor({ socketPath: address.path, host: undefined, agent } as never)
    : new DockerConstructor({ protocol: "http", host: address.host, port: address.port, agent } as never);
}

/** Why Docker cannot be used, with what to do about it; undefined where it answers. */
export async function explainUnreachable(docker: DockerClient, address: DockerAddress): Promise<string | undefined> {
  try {
    await withDeadline(docker.ping(), pingDeadlineMs, "the ping");
    return undefined;
  } catch (error) {
    return (
      `Docker is not reachable on this worker (${formatDockerAddress(address)}: ${messageOf(error)}): start Docker, ` +
      "let the worker's user access its socket, or set DOCKER_HOST"
    );
  }
}

/** Status of an answer of the daemon, undefined where it did not answer. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && "statusCode" in error && typeof error.statusCode === "number"
    ? error.statusCode
    : undefined;
}

/** The daemon's own words, without what the client puts around them. */
export function dockerMessage(error: unknown): string {
  if (error instanceof Error && "json" in error) {
    const { json } = error;
    if (typeof json === "object" && json !== null && "message" in json) return String(json.message).trim();
  }
  return messageOf(error);
}

/** True where the daemon did not answer at all: it is down, or the connection broke. */
export function isConnectionError(error: unknown): boolean {
  return statusOf(error) === undefined;
}
