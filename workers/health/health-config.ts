import { z } from "zod";

/** How a worker looks after its machine. Times in milliseconds. */
export interface HealthConfig {
  /** Between two probes; every other time of the rhythm follows from it. */
  probeMs: number;
  /** A probe that takes longer has failed. */
  deadlineMs: number;
  /** What the worker does when recovery has failed: end, so that its machine is replaced, or wait for better times. */
  whenUnhealthy: "drain" | "wait";
  /** Restarts Docker; run by `sh -c`. Undefined: Docker is left alone. */
  dockerRestartCommand: string | undefined;
  /** Whether Docker's build cache, which is not this worker's alone, may be emptied when the disk is full. */
  prunesBuildCache: boolean;
  maxClockSkewMs: number;
  /** So many different tasks that fail for the infrastructure in a row make the worker look closely. */
  maxFailuresInARow: number;
}

const defaultProbeMs = 30_000;
const defaultDeadlineMs = 10_000;
const shortestProbeMs = 300;
/** Ten times as long is still a time that a timer holds. */
const longestProbeMs = 3_600_000;
/** Several of them fit into one look. */
const longestDeadlineMs = 60_000;
/** AWS refuses what is signed by a clock that is five minutes off. */
const defaultMaxSkewSeconds = 120;
const defaultMaxFailures = 3;

const wholeNumber = z.string().regex(/^\d+$/, "is a whole number").transform(Number);
const above0 = wholeNumber.refine((number) => number > 0, "is above 0");

/** The variables of the environment. */
export const healthEnv = {
  SLUICE_HEALTH_PROBE_MS: wholeNumber
    .refine(
      (ms) => ms >= shortestProbeMs && ms <= longestProbeMs,
      `is between ${shortestProbeMs} and ${longestProbeMs}`,
    )
    .default(defaultProbeMs),
  SLUICE_HEALTH_DEADLINE_MS: above0
    .refine((ms) => ms <= longestDeadlineMs, `is at most ${longestDeadlineMs}`)
    .default(defaultDeadlineMs),
  SLUICE_UNHEALTHY: z.enum(["drain", "wait"], { error: "is drain or wait" }).optional(),
  SLUICE_DOCKER_RESTART_COMMAND: z.string().min(1, "is empty: name a command").optional(),
  SLUICE_PRUNE_BUILD_CACHE: z.enum(["on", "off"], { error: "is on or off" }).default("off"),
  SLUICE_MAX_CLOCK_SKEW_SECONDS: above0.default(defaultMaxSkewSeconds),
  SLUICE_MAX_FAILURES_IN_A_ROW: above0.default(defaultMaxFailures),
};

type HealthEnv = z.infer<z.ZodObject<typeof healthEnv>>;

/** Makes the settings of what was read. Machines of a cloud are replaced; a laptop is not. */
export function readHealthConfig(values: HealthEnv, provider: string): HealthConfig {
  return {
    probeMs: values.SLUICE_HEALTH_PROBE_MS,
    deadlineMs: values.SLUICE_HEALTH_DEADLINE_MS,
    whenUnhealthy: values.SLUICE_UNHEALTHY ?? (provider === "local" ? "wait" : "drain"),
    dockerRestartCommand: values.SLUICE_DOCKER_RESTART_COMMAND,
    prunesBuildCache: values.SLUICE_PRUNE_BUILD_CACHE === "on",
    maxClockSkewMs: values.SLUICE_MAX_CLOCK_SKEW_SECONDS * 1_000,
    maxFailuresInARow: values.SLUICE_MAX_FAILURES_IN_A_ROW,
  };
}
