import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../../shared/error-code.ts";

/** Traffic of a network namespace since it was made. */
export interface NetworkCounters {
  receivedBytes: number;
  sentBytes: number;
}

/**
 * Reads the traffic of the network namespace that a process is in, without what stays inside (`lo`); undefined where
 * the process is gone.
 */
export function readNetworkCounters(pid: number, procFolder = "/proc"): NetworkCounters | undefined {
  try {
    return parseNetworkCounters(readFileSync(join(procFolder, `${pid}/net/dev`), "utf8"));
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH", "EINVAL", "EACCES")) return undefined;
    throw error;
  }
}

/** Sums the interfaces of a `net/dev` file: behind the name come eight counters of what was received, then of what was sent. */
export function parseNetworkCounters(text: string): NetworkCounters {
  const sum = { receivedBytes: 0, sentBytes: 0 };
  for (const line of text.split("\n")) {
    const [name, counters] = line.split(":");
    if (counters === undefined || name?.trim() === "lo") continue;
    const fields = counters.trim().split(/\s+/).map(Number);
    sum.receivedBytes += fields[0] ?? 0;
    sum.sentBytes += fields[8] ?? 0;
  }
  return sum;
}
