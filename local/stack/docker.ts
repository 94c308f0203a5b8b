import { connect } from "node:net";
import { parseDockerHost } from "../../workers/docker-address.ts";

const deadlineMs = 1_000;

/** Whether something listens where Docker should. Workers find out by themselves; this is for a word to the user. */
export function answersDocker(dockerHost: string | undefined): Promise<boolean> {
  const parsed = parseDockerHost(dockerHost);
  if (!parsed.ok) return Promise.resolve(false);
  const { address } = parsed;
  return new Promise((resolve) => {
    const socket = address.kind === "socket" ? connect(address.path) : connect(address.port, address.host);
    const settle = (answers: boolean) => {
      socket.destroy();
      resolve(answers);
    };
    socket.setTimeout(deadlineMs, () => settle(false));
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}
