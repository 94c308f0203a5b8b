/** Where the Docker daemon listens: a socket of this machine or a TCP port, without TLS. */
export type DockerAddress = { kind: "socket"; path: string } | { kind: "tcp"; host: string; port: number };

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
  // By convention the port of daemons with TLS, whatever the scheme says.
  if (scheme === "https" || port === 2376) {
    const problem = `means a daemon with TLS, which workers do not speak: use its socket (unix://PATH); it is '${text}'`;
    return { ok: false, problem };
  }
  return { ok: true, address: { kind: "tcp", host, port } };
}

/** The address as people write it. */
export function formatDockerAddress(address: DockerAddress): string {
  return address.kind === "socket" ? `unix://${address.path}` : `tcp://${address.host}:${address.port}`;
}
