import type { HostConfig } from "dockerode";

/** How far the containers of tasks are kept apart from the machine. */
export interface Isolation {
  /** Whether tasks may reach the machine's metadata service, and with it the credentials of its role. */
  metadata: "blocked" | "reachable";
  /** Capabilities that root in a container has beside the usual ones. */
  addedCapabilities: readonly string[];
}

/**
 * What root in a container needs to install packages, change owners and users, and listen on low ports: what Podman
 * grants by default, which is Docker's own list without raw sockets, device nodes and the audit log.
 */
const usualCapabilities = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "NET_BIND_SERVICE",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
];

/** With one of these a task can leave routes and filters in its namespace, which would be there for the next task. */
const networkCapabilities = ["NET_ADMIN", "SYS_ADMIN", "SYS_MODULE", "BPF"];

/** Whether tasks can change the network that they are in beyond their own end. */
export function mayChangeNetworks({ addedCapabilities }: Isolation): boolean {
  return addedCapabilities.some((name) => networkCapabilities.includes(name));
}

/** The rights of a container that runs what a job says. Docker's default seccomp profile stays in force beside them. */
export function restrictRights(isolation: Isolation): Required<Pick<HostConfig, "CapDrop" | "CapAdd" | "SecurityOpt">> {
  return grantOnly([...usualCapabilities, ...isolation.addedCapabilities]);
}

/** These rights and no others; a program with the setuid bit or file capabilities gains none. */
export function grantOnly(
  capabilities: readonly string[],
): Required<Pick<HostConfig, "CapDrop" | "CapAdd" | "SecurityOpt">> {
  return { CapDrop: ["ALL"], CapAdd: [...capabilities], SecurityOpt: ["no-new-privileges"] };
}
