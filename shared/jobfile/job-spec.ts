import * as z from "zod";
import { limits } from "../domain/limits.ts";
import { retryClasses } from "../domain/retry-policy.ts";
import { describeGraphProblems } from "./graph-problems.ts";
import { maxProblems } from "./problem.ts";
import {
  abortPolicies,
  explainBadArtifactExclude,
  explainBadArtifactPath,
  explainBadServiceName,
  explainBadTmpfs,
  explainUnenforcedResources,
  explainUnreachableServices,
  findRepeats,
  jobRules,
  reservedEnvNames,
} from "./rules.ts";

/**
 * The job as the API receives it and the worker runs it: JSON, every default filled in, durations in milliseconds,
 * images by reference. The API validates it again by this schema, whoever sent it.
 */

/** A digest as Docker writes it. */
export const digestPattern = /^sha256:[0-9a-f]{64}$/;

const noNul = /^[^\0]*$/;

function named(rule: { pattern: RegExp; maxLength: number }) {
  return z.string().max(rule.maxLength).regex(rule.pattern);
}

const timeoutMsSchema = z.int().min(1).max(jobRules.timeoutMs);

const envSchema = z
  .record(named(jobRules.envName), z.string().max(jobRules.envValueLength).regex(noNul))
  .superRefine((env, context) => {
    const names = Object.keys(env);
    if (names.length > jobRules.envNames) {
      context.addIssue({ code: "custom", message: `has more than ${jobRules.envNames} variables` });
    }
    for (const name of names) {
      if (!reservedEnvNames.includes(name)) continue;
      context.addIssue({
        code: "custom",
        path: [name],
        message: `${name} is set by Sluice and cannot be set by a job`,
      });
    }
  });

const commandSchema = z
  .array(z.string().max(jobRules.commandItemLength).regex(noNul))
  .min(1)
  .max(jobRules.commandItems)
  .refine((command) => command[0] !== "", { message: "names no program" });

/** Names of secrets by the variable that holds the value; values are never part of a job. */
const secretsSchema = z.record(named(jobRules.envName), named(jobRules.secretName)).superRefine((secrets, context) => {
  const names = Object.keys(secrets);
  if (names.length > jobRules.secretsPerJob) {
    context.addIssue({ code: "custom", message: `has more than ${jobRules.secretsPerJob} secrets` });
  }
  for (const name of names) {
    if (!reservedEnvNames.includes(name)) continue;
    context.addIssue({ code: "custom", path: [name], message: `${name} is set by Sluice and cannot be set by a job` });
  }
});

const entrySchema = z.union([
  z.strictObject({ run: z.string().min(1).max(jobRules.runLength).regex(noNul) }),
  z.strictObject({ command: commandSchema }),
]);

const commonStepShape = {
  name: named(jobRules.stepName),
  env: envSchema.default({}),
  timeoutMs: timeoutMsSchema.optional(),
  workdir: z.string().min(1).max(jobRules.workdirLength).regex(noNul).optional(),
};

const containerStepSchema = z
  .strictObject({
    kind: z.literal("container"),
    /** A reference to pull, or the image's id (`sha256:…`) where it was shipped. */
    image: named(jobRules.image),
    shipped: z.boolean().default(false),
    /** Digests of the layers of a shipped image, the lowest first; each is a blob beside the image's configuration. */
    layers: z.array(z.string().regex(digestPattern)).max(limits.imageBlobs).optional(),
    /** `null` runs the image's own command. */
    entry: entrySchema.nullable().default(null),
    ...commonStepShape,
  })
  .refine((step) => !step.shipped || digestPattern.test(step.image), {
    path: ["image"],
    message: "a shipped image is named by its id, sha256: and 64 hexadecimal digits",
  })
  .refine((step) => step.workdir === undefined || step.workdir.startsWith("/"), {
    path: ["workdir"],
    message: "the workdir of a container step is an absolute path",
  });

const processStepSchema = z.strictObject({ kind: z.literal("process"), entry: entrySchema, ...commonStepShape });

/** One step: a container, or a process on the worker's host. */
export const stepSpecSchema = z.discriminatedUnion("kind", [containerStepSchema, processStepSchema]);

const portSchema = z.int().min(1).max(65_535);

const healthSpecSchema = z.strictObject({
  check: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("cmd"), command: commandSchema }),
    z.strictObject({ kind: z.literal("tcp"), port: portSchema }),
    z.strictObject({ kind: z.literal("http"), port: portSchema, path: named(jobRules.healthHttpPath).default("/") }),
    z.strictObject({ kind: z.literal("log"), text: z.string().min(1).max(jobRules.healthLogLength).regex(noNul) }),
  ]),
  timeoutMs: timeoutMsSchema.default(5_000),
  intervalMs: timeoutMsSchema.default(1_000),
  retries: z.int().min(1).max(jobRules.healthRetries).default(10),
  startPeriodMs: z.int().min(0).max(jobRules.timeoutMs).default(0),
});

const tmpfsSchema = named(jobRules.tmpfs).superRefine((mount, context) => {
  const problem = explainBadTmpfs(mount);
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
});

/** A container that runs beside the steps of a task; without `health` it is ready once it has started. */
const serviceSpecSchema = z.strictObject({
  image: named(jobRules.image),
  /** Arguments for the image's entrypoint; without them the image's own command. */
  command: commandSchema.optional(),
  env: envSchema.default({}),
  /** Folders in memory: `/path:options`. */
  tmpfs: z.array(tmpfsSchema).max(jobRules.tmpfsMounts).default([]),
  health: healthSpecSchema.optional(),
});

const servicesSchema = z.record(named(jobRules.serviceName), serviceSpecSchema).superRefine((services, context) => {
  const names = Object.keys(services);
  if (names.length > jobRules.services) {
    context.addIssue({ code: "custom", message: `has more than ${jobRules.services} services` });
  }
  for (const name of names) {
    const problem = explainBadServiceName(name);
    if (problem !== undefined) context.addIssue({ code: "custom", path: [name], message: `'${name}' ${problem}` });
  }
});

/** One task: what one worker runs at once. */
export const taskSpecSchema = z.strictObject({
  name: named(jobRules.taskName),
  slots: z.int().min(1).max(jobRules.slotsPerTask).default(1),
  timeoutMs: timeoutMsSchema.optional(),
  env: envSchema.default({}),
  /** Tasks that must complete before this one starts. */
  needs: z.array(named(jobRules.taskName)).max(jobRules.needsPerTask).optional(),
});

function artifactPattern(explainBad: (pattern: string) => string | undefined) {
  return z
    .string()
    .min(1)
    .max(jobRules.artifactPathLength)
    .superRefine((pattern, context) => {
      const problem = explainBad(pattern);
      if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
    });
}

const artifactsSpecSchema = z.strictObject({
  paths: z.array(artifactPattern(explainBadArtifactPath)).min(1).max(jobRules.artifactPaths).default(["**"]),
  exclude: z.array(artifactPattern(explainBadArtifactExclude)).max(jobRules.artifactPaths).optional(),
  retentionMs: z.int().min(1).max(jobRules.retentionMs).optional(),
});

const retrySchema = z.strictObject({
  /** Tries in all, the first included. */
  attempts: z.int().min(1).max(jobRules.retryAttempts),
  on: z.array(z.enum(retryClasses)).min(1).max(retryClasses.length).default(["exit_code"]),
});

const { cpus, memoryBytes, pids } = jobRules.resources;

/** What each container of a task may use, for each slot of the task; what is absent is not limited by the job. */
const resourcesSpecSchema = z.strictObject({
  cpus: z.number().min(cpus.min).max(cpus.max).optional(),
  /** Swap included. */
  memoryBytes: z.int().min(memoryBytes.min).max(memoryBytes.max).optional(),
  pids: z.int().min(pids.min).max(pids.max).optional(),
});

/** What `POST /v1/jobs` accepts as a job; absent parts get their defaults. */
export const jobSpecSchema = z
  .strictObject({
    name: named(jobRules.jobName),
    pool: named(jobRules.poolName).default("default"),
    env: envSchema.default({}),
    secrets: secretsSchema.optional(),
    /** Name of the secret with the credentials of registries. */
    registryAuth: named(jobRules.secretName).optional(),
    timeoutMs: timeoutMsSchema.optional(),
    retry: retrySchema.optional(),
    abort: z.enum(abortPolicies).default("never"),
    /** By name, which is also their host name. */
    services: servicesSchema.default({}),
    steps: z.array(stepSpecSchema).min(1).max(jobRules.steps),
    tasks: z.array(taskSpecSchema).min(1).max(jobRules.tasks),
    resources: resourcesSpecSchema.optional(),
    artifacts: artifactsSpecSchema.default({ paths: ["**"] }),
  })
  .superRefine((job, context) => {
    for (const { index, firstIndex } of findRepeats(job.tasks.map((task) => task.name))) {
      const message = `task '${job.tasks[index]?.name}' is already defined by tasks[${firstIndex}]`;
      context.addIssue({ code: "custom", path: ["tasks", index, "name"], message });
    }
    const graph = job.tasks.map(({ name, needs = [] }) => ({ name, needs }));
    for (const { taskIndex, needIndex, message } of describeGraphProblems(graph).slice(0, maxProblems)) {
      context.addIssue({ code: "custom", path: ["tasks", taskIndex, "needs", needIndex], message });
    }
    const hasContainerStep = job.steps.some((step) => step.kind === "container");
    const unreachable = explainUnreachableServices(Object.keys(job.services).length, hasContainerStep);
    if (unreachable !== undefined) context.addIssue({ code: "custom", path: ["services"], message: unreachable });
    const unenforced = explainUnenforcedResources(job.resources !== undefined, hasContainerStep);
    if (unenforced !== undefined) context.addIssue({ code: "custom", path: ["resources"], message: unenforced });
    for (const name of Object.keys(job.secrets ?? {})) {
      if (!Object.hasOwn(job.env, name)) continue;
      const message = `${name} is set by env too; a variable is one or the other`;
      context.addIssue({ code: "custom", path: ["secrets", name], message });
    }
    const specBytes = Buffer.byteLength(JSON.stringify({ ...job, tasks: [] }));
    if (specBytes > jobRules.specBytes) {
      const message = `without its tasks the job takes ${specBytes} bytes; at most ${jobRules.specBytes} are allowed`;
      context.addIssue({ code: "custom", path: ["steps"], message });
    }
  });

/** A job ready to be submitted and run. */
export type JobSpec = z.output<typeof jobSpecSchema>;
export type StepSpec = z.output<typeof stepSpecSchema>;
export type ContainerStepSpec = z.output<typeof containerStepSchema>;
export type ProcessStepSpec = z.output<typeof processStepSchema>;
export type ServiceSpec = z.output<typeof serviceSpecSchema>;
export type HealthSpec = z.output<typeof healthSpecSchema>;
export type ResourcesSpec = z.output<typeof resourcesSpecSchema>;
export type TaskSpec = z.output<typeof taskSpecSchema>;
/** What a step starts: a shell command line, or a program with its arguments. */
export type StepEntry = z.output<typeof entrySchema>;
/** What a caller of the API may leave out of a `JobSpec`. */
export type JobSpecInput = z.input<typeof jobSpecSchema>;
