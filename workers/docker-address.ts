/** Where the Docker daemon listens: a socket of this machine or a TCP port. */
export type DockerAddress =
  | { kind: "socket"; path: string }
  | { kind: "tcp"; protocol: "http" | "https"; host: string; port: number };

/** Where Docker listens unless `DOCKER_HOST` says otherwise. */
export const defaultDockerSocket = "/var/run/docker.sock";

/** Reads `DOCKER_HOST` in the forms that the worker supports. */
export function parseDockerHost(
  text: string | undefined,
): { ok: true; address: DockerAddress } | { ok: false; problem: string } {
  if (text === undefined || text === "") return { ok: true, address: { kind: "socket", path: defaultDockerSocket } };
  if (text.startsWith("unix://")) {
    const path = text.slice("unix://".length);
    return { ok: true, address: { kind: "socket", path: path === "" ? defaultDockerSocket : path } };
  }
  const match = /^(tcp|http|https):\/\/([^/:]+)(?::(\d+))?\/?$/.exec(text);
  if (!match) return { ok: false, problem: `is unix://PATH or tcp://HOST:PORT; it is '${text}'` };
  const [, scheme, host = "", portText] = match;
  const port = portText === undefined ? 2375 : Number(portText);
  const protocol = scheme === "https" || port === 2376 ? "https" : "http";
  return { ok: true, address: { kind: "tcp", protocol, host, port } };
}

/** The address as people write it. */
export function formatDockerAddress(address: DockerAddress): string {
  return address.kind === "socket"
    ? `unix://${address.path}`
    : `${address.protocol === "https" ? "https" : "tcp"}://${address.host}:${address.port}`;
}
