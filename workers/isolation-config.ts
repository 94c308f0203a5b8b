import { suggestNearest } from "../shared/jobfile/suggest.ts";
import type { ExecutorKind, WorkerConfig } from "./config.ts";
import type { Isolation } from "./executors/docker/isolation.ts";

/** Capabilities of Linux that a worker may add for its tasks, without their `CAP_`. */
const knownCapabilities = (
  "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER " +
  "FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE " +
  "NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE " +
  "SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM"
).split(" ");

/** Who has one of these can go round the routes of a namespace, or leave it. */
const capabilitiesPastRoutes = ["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO"];

/** Reads `SLUICE_METADATA` and `SLUICE_CAPABILITIES`, and says what of the configuration would undo a block. */
export function parseIsolation(
  values: { metadata: Isolation["metadata"]; capabilities: string },
  worker: { provider: WorkerConfig["provider"]; executors: readonly ExecutorKind[] },
  problems: string[],
): Isolation {
  const addedCapabilities = values.capabilities
    .split(",")
    .map((name) => name.trim().toUpperCase().replace(/^CAP_/, ""))
    .filter((name) => name !== "");
  for (const name of addedCapabilities) {
    if (knownCapabilities.includes(name)) continue;
    const nearest = suggestNearest(name, knownCapabilities);
    problems.push(
      `SLUICE_CAPABILITIES is a list of capabilities of Linux, such as SYS_PTRACE; there is no ${name}` +
        (nearest === undefined ? "" : `: did you mean ${nearest}?`),
    );
  }
  if (values.metadata === "blocked" && worker.provider !== "local") {
    const past = addedCapabilities.filter((name) => capabilitiesPastRoutes.includes(name));
    const ways = [
      ...(worker.executors.includes("process") ? ["steps without an image (SLUICE_EXECUTORS)"] : []),
      ...(past.length > 0 ? [`containers with ${past.join(" and ")} (SLUICE_CAPABILITIES)`] : []),
    ];
    if (ways.length > 0) {
      problems.push(
        `SLUICE_METADATA is blocked, but ${ways.join(" and ")} can reach the machine's metadata service, and with it the ` +
          "credentials of its role: do without them, or set SLUICE_METADATA=reachable where tasks may have these",
      );
    }
  }
  return { metadata: values.metadata, addedCapabilities };
}
