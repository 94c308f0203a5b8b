import { limits } from "../domain/limits.ts";
import { secretRules } from "../domain/secret-rules.ts";

const tmpfsOption =
  "(size=\\d{1,12}[kmgKMG%]?|mode=[0-7]{3,4}|[ug]id=\\d+|nr_inodes=\\d+[kmgKMG]?|rw|ro|exec|noexec|nosuid|nodev|noatime)";

/**
 * What names and sizes a job may have. The job file's schema and the API's schema are both built from these, so that
 * what `sluice validate` accepts is accepted by the API.
 */
export const jobRules = {
  /** Names end up in S3 keys, container labels and ids: short, and the same in every alphabet. */
  jobName: { pattern: /^[a-z][a-z0-9_-]+$/, maxLength: 64 },
  poolName: { pattern: /^[a-z0-9][a-z0-9_-]*$/, maxLength: 64 },
  taskName: { pattern: /^[a-z0-9][a-z0-9_-]*$/, maxLength: 128 },
  /** Any text on one line without control characters (they would reach terminals), not starting with a space. */
  stepName: { pattern: /^[!-~\u00a1-\uffff][ -~\u00a0-\uffff]*$/, maxLength: 100 },
  image: { pattern: /^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/, maxLength: 512 },
  envName: { pattern: /^[A-Z][A-Z0-9_]+$/, maxLength: 128 },
  /** Linux takes at most 128 KiB for one `NAME=value` of a new process. */
  envValueLength: 100_000,
  envNames: 500,
  secretName: secretRules.name,
  secretsPerJob: secretRules.perJob,
  /** `run` is one argument of `sh -c`: the same 128 KiB of Linux. */
  runLength: 100_000,
  commandItems: 1_000,
  commandItemLength: 100_000,
  workdirLength: 1_024,
  steps: 100,
  tasks: limits.tasksPerJob,
  slotsPerTask: 1_024,
  /** Tries of one task in all that a job may ask for. */
  retryAttempts: 10,
  /** Needs of one task: its item keeps the names of those that are not met yet. */
  needsPerTask: 1_000,
  services: 20,
  /** A host name in the task's network. */
  serviceName: { pattern: /^[a-z0-9][a-z0-9_-]*$/, maxLength: 63 },
  /** A path and mount options that the kernel's tmpfs knows and that give a service no rights. */
  tmpfs: { pattern: new RegExp(`^/[^:,\\0]+(:${tmpfsOption}(,${tmpfsOption})*)?$`), maxLength: 1_024 },
  tmpfsMounts: 100,
  healthRetries: 10_000,
  healthLogLength: 1_000,
  /** Printable ASCII: what can stand in a request line. */
  healthHttpPath: { pattern: /^\/[!-~]*$/, maxLength: 2_048 },
  /** Of one slot. The least that Docker takes for CPUs and memory, and that a container starts with. */
  resources: {
    cpus: { min: 0.01, max: 1_024 },
    memoryBytes: { min: 6 * 1024 ** 2, minText: "6m", max: 64 * 1024 ** 4, maxText: "64t" },
    pids: { min: 16, max: 1_000_000 },
  },
  artifactPaths: 100,
  artifactPathLength: 1_024,
  /** Timers of Node hold 2^31 - 1 ms (24.8 days); a longer one would fire at once. */
  timeoutMs: 24 * 24 * 3_600_000,
  retentionMs: 3_650 * 24 * 3_600_000,
  /** Bytes of a job file, and of the text that its templates make of it. */
  sourceBytes: 256 * 1024,
  renderedBytes: 1024 * 1024,
  /** Bytes of the spec without its tasks, as JSON. */
  specBytes: limits.jobSpecBytes,
  /** Bytes of one task as JSON. */
  taskBytes: limits.taskBytes,
  /** Bytes of all tasks as JSON: with the spec they fit into one request. */
  tasksBytes: limits.requestBodyBytes - 2 * limits.jobSpecBytes,
} as const;

/** Variables that Sluice sets in every step; a job cannot set them itself. */
export const reservedEnvNames: readonly string[] = [
  "SLUICE_JOB",
  "SLUICE_TASK",
  "SLUICE_TASK_FQN",
  "SLUICE_ATTEMPT",
  "SLUICE_STEP",
  "SLUICE_SLOTS",
  "SLUICE_OUTPUT",
  "SLUICE_SHARED",
  "SLUICE_WORKSPACE",
  "ALFRED_TASK",
  "ALFRED_TASK_FQN",
  "ALFRED_NB_SLOTS_FOR_TASK",
  "ALFRED_SHARED",
  "ALFRED_OUTPUT",
];

/** When the control plane ends a whole job early: never, after a step's exit 42, or after any failure or timeout. */
export const abortPolicies = ["never", "on-failure", "on-error"] as const;
export type AbortPolicy = (typeof abortPolicies)[number];

/** Says why a pattern of artifact paths cannot be used, or undefined where it can. */
export function explainBadArtifactPath(pattern: string): string | undefined {
  if (pattern.startsWith("/")) return "must be relative to the output folder";
  if (pattern.split("/").includes("..")) return "cannot leave the output folder through '..'";
  if (pattern.includes("\0")) return "cannot hold a NUL character";
  return undefined;
}

/** The same for a pattern of what to leave out again. */
export function explainBadArtifactExclude(pattern: string): string | undefined {
  return pattern.startsWith("!") ? "leaves out already; write it without '!'" : explainBadArtifactPath(pattern);
}

/** Says why a service cannot have a name, or undefined where it can: its name is a host name of its own. */
export function explainBadServiceName(name: string): string | undefined {
  if (name === "localhost") return "means the step's own container";
  // `getaddrinfo` takes them for IPv4 addresses and never asks for a name.
  if (/^(\d+|0x[0-9a-f]*)$/.test(name)) return "reads as a network address; add a letter";
  return undefined;
}

/** Says why a service cannot have something in memory at a path, or undefined where it can. */
export function explainBadTmpfs(mount: string): string | undefined {
  const path = mount.replace(/:.*$/, "");
  if (path.split("/").some((part) => part === "." || part === ".."))
    return "must be a plain path, without '.' and '..'";
  // Without what the kernel and Docker put there, containers do not start, or not rightly.
  const system = /^\/+(proc|sys|dev)(\/|$)|^\/+$/.test(path) && !/^\/+dev\/+shm(\/|$)/.test(path);
  return system ? "takes the place of what the system needs there; name a folder of the service" : undefined;
}

/** Says why nobody could use a job's services, or undefined where steps can. */
export function explainUnreachableServices(services: number, hasContainerStep: boolean): string | undefined {
  if (services === 0 || hasContainerStep) return undefined;
  return "services are reached by name from steps in containers; give a step an image or remove the services";
}

/** Says why a job's resources could be enforced on nothing, or undefined where they can be. */
export function explainUnenforcedResources(hasResources: boolean, hasContainerStep: boolean): string | undefined {
  if (!hasResources || hasContainerStep) return undefined;
  return "resources are enforced on containers, not on processes of the worker's host; give a step an image or remove the resources";
}

/** The ways in which a service's health can be told; a health check has exactly one. */
export const healthChecks = ["cmd", "tcp", "http", "log"] as const;

/** Positions of the second and later uses of a name, each with the position of its first use. */
export function findRepeats(names: readonly (string | undefined)[]): { index: number; firstIndex: number }[] {
  const firstIndexes = new Map<string, number>();
  const repeats: { index: number; firstIndex: number }[] = [];
  names.forEach((name, index) => {
    if (name === undefined) return;
    const firstIndex = firstIndexes.get(name);
    if (firstIndex === undefined) firstIndexes.set(name, index);
    else repeats.push({ index, firstIndex });
  });
  return repeats;
}
