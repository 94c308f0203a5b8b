import * as z from "zod";
import { retryClasses } from "../domain/retry-policy.ts";
import { clipText } from "./problem.ts";
import {
  abortPolicies,
  explainBadArtifactExclude,
  explainBadArtifactPath,
  explainBadServiceName,
  explainBadTmpfs,
  jobRules,
} from "./rules.ts";
import { durationPattern, parseDuration, parseSize, sizePattern } from "./units.ts";

/**
 * The whole job file as one schema, for YAML and TypeScript alike, and the source of `sluice schema`. Durations and
 * sizes stay in the file's own words here; `toJobSpec` turns them into numbers. What one value alone cannot show
 * (keys that exclude each other, repeated names) is in `validate.ts`.
 */

/**
 * Parts that count as absent where nothing stands after their key, as when templates or comments leave nothing of
 * them; `[]` stands for every item of a list, `*` for every key of a map.
 */
export const mayBeEmpty: readonly (readonly string[])[] = [
  ...["env", "secrets", "services"].map((key) => [key]),
  ...["env", "tmpfs", "health"].map((key) => ["services", "*", key]),
  ...["env", "options"].map((key) => ["steps", "[]", key]),
  ...["env", "needs"].map((key) => ["tasks", "[]", key]),
];

/** Keys whose plain YAML value is a number; everywhere else a plain value is taken as the text it is written as. */
export const numberKeys: ReadonlySet<string> = new Set(["slots", "attempts", "retries", "cpus", "pids", "tcp"]);

function quote(input: unknown): string {
  return typeof input === "string" ? `'${clipText(input)}'` : "this";
}

function named(rule: { pattern: RegExp; maxLength: number }, hint: string) {
  return z
    .string()
    .max(rule.maxLength, { error: () => `is longer than ${rule.maxLength} characters` })
    .regex(rule.pattern, { error: (issue) => `${quote(issue.input)} ${hint}` });
}

function text(maxLength: number) {
  return z
    .string()
    .max(maxLength, { error: () => `is longer than ${maxLength} characters` })
    .refine((value) => !value.includes("\0"), { error: () => "holds a NUL character; remove it" });
}

function filledText(maxLength: number) {
  return text(maxLength).min(1, { error: () => "is empty" });
}

function duration(limits: { minMs: number; maxMs: number; maxText: string }) {
  return z
    .string()
    .regex(durationPattern, {
      error: (issue) =>
        `${quote(issue.input)} is not a duration; write numbers with their units, such as 500ms, 10s, 1m30s, 2h or 30d`,
    })
    .refine((value) => !durationPattern.test(value) || (parseDuration(value) ?? Infinity) <= limits.maxMs, {
      error: (issue) => `${quote(issue.input)} is too long; at most ${limits.maxText} are allowed`,
    })
    .refine((value) => (parseDuration(value) ?? limits.minMs) >= limits.minMs, {
      error: (issue) => `${quote(issue.input)} is too short; write at least 1ms`,
    });
}

const timeout = duration({ minMs: 1, maxMs: jobRules.timeoutMs, maxText: "24d" });

const env = z
  .record(
    named(
      jobRules.envName,
      "is not a variable name; use capitals, digits and '_', starting with a capital, two characters or more",
    ),
    text(jobRules.envValueLength),
  )
  .describe("Environment variables.");

const command = z
  .array(text(jobRules.commandItemLength))
  .min(1)
  .max(jobRules.commandItems)
  .refine((items) => items[0] !== "", { error: () => "names no program; its first item is the program to run" });

const stepSchema = z.strictObject({
  dockerfile: filledText(4_096)
    .describe("Dockerfile to build the step's image from, relative to the job file.")
    .optional(),
  context: filledText(4_096).describe("Folder sent to the build, relative to the job file; '.' if absent.").optional(),
  options: z.array(text(10_000)).max(200).describe("Further options of docker build.").optional(),
  image: named(
    jobRules.image,
    "is not an image reference; write one such as busybox:stable or registry.example.com/team/image:1.2",
  )
    .describe("Image that the worker pulls.")
    .optional(),
  run: filledText(jobRules.runLength)
    .describe("Command line for sh -c: in the image, or on the worker's host where the step has no image.")
    .optional(),
  command: command.describe("Program and arguments, without a shell.").optional(),
  name: named(jobRules.stepName, "is not a step name; write one line of text")
    .describe("Name shown to users.")
    .optional(),
  env: env.default({}),
  timeout: timeout.describe("Longest time for this step.").optional(),
  workdir: filledText(jobRules.workdirLength).describe("Folder that the step starts in.").optional(),
});

const taskName = named(
  jobRules.taskName,
  "is not a task name; use lower-case letters, digits, '-' and '_', starting with a letter or digit",
);

const taskSchema = z.strictObject({
  name: taskName,
  slots: z.int().min(1).max(jobRules.slotsPerTask).default(1).describe("Slots of a worker that the task takes."),
  timeout: timeout.describe("Longest time for the whole task.").optional(),
  env: env.default({}),
  needs: z
    .array(taskName)
    .max(jobRules.needsPerTask)
    .describe("Tasks that must complete before this one starts.")
    .optional(),
});

const healthSchema = z.strictObject({
  cmd: command.describe("Program and arguments that end with 0 inside a healthy service.").optional(),
  tcp: z.int().min(1).max(65_535).describe("Port that a healthy service takes connections on.").optional(),
  http: named(
    {
      pattern: /^:0*([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])(\/[!-~]*)?$/,
      maxLength: 2_048,
    },
    "is not a port and path; write one such as :8080/ready",
  )
    .describe("Port and path that a healthy service answers with a status of 200 to 399.")
    .optional(),
  log: filledText(jobRules.healthLogLength).describe("Text that a healthy service has printed.").optional(),
  timeout: timeout.default("5s").describe("Longest time of one check."),
  interval: timeout.default("1s").describe("Time between two checks; the first ones come faster."),
  retries: z
    .int()
    .min(1)
    .max(jobRules.healthRetries)
    .default(10)
    .describe("Failed checks in a row after which the service is started anew."),
  start_period: duration({ minMs: 0, maxMs: jobRules.timeoutMs, maxText: "24d" })
    .default("0s")
    .describe("Time after the start in which failed checks do not count."),
});

const tmpfsMount = named(jobRules.tmpfs, "is not a mount in memory; write one such as /data:size=64m").refine(
  (mount) => explainBadTmpfs(mount) === undefined,
  { error: (issue) => `${quote(issue.input)} ${explainBadTmpfs(String(issue.input))}` },
);

const serviceSchema = z.strictObject({
  image: named(jobRules.image, "is not an image reference; write one such as redis:7").describe(
    "Image that the worker pulls.",
  ),
  command: command.describe("Arguments for the image's entrypoint, instead of the image's own command.").optional(),
  env: env.default({}),
  tmpfs: z
    .array(tmpfsMount)
    .max(jobRules.tmpfsMounts)
    .default([])
    .describe("Folders kept in memory, each with its mount options."),
  health: healthSchema.describe("When the service is ready; without it, once it has started.").optional(),
});

const serviceName = named(
  jobRules.serviceName,
  "is not a service name; use lower-case letters, digits, '-' and '_', starting with a letter or digit",
).refine((name) => explainBadServiceName(name) === undefined, {
  error: (issue) => `${quote(issue.input)} ${explainBadServiceName(String(issue.input))}`,
});

const secretName = named(
  jobRules.secretName,
  "is not a secret's name; use lower-case letters, digits, '-', '_' and '/', such as prod/db-password",
);

function artifactPattern(explainBad: (pattern: string) => string | undefined) {
  return filledText(jobRules.artifactPathLength).refine((pattern) => explainBad(pattern) === undefined, {
    error: (issue) => `${quote(issue.input)} ${explainBad(String(issue.input))}`,
  });
}

const artifactsSchema = z.strictObject({
  paths: z
    .array(artifactPattern(explainBadArtifactPath))
    .min(1)
    .max(jobRules.artifactPaths)
    .default(["**"])
    .describe("What to keep, relative to the output folder."),
  exclude: z
    .array(artifactPattern(explainBadArtifactExclude))
    .max(jobRules.artifactPaths)
    .describe("What to leave out again; of a folder, all that it holds.")
    .optional(),
  retention: duration({ minMs: 1, maxMs: jobRules.retentionMs, maxText: "3650d" })
    .describe("How long artifacts are kept; without it, as long as the job.")
    .optional(),
});

const { cpus, memoryBytes, pids } = jobRules.resources;

const resourcesSchema = z.strictObject({
  cpus: z.number().min(cpus.min).max(cpus.max).describe("CPUs, also parts of one.").optional(),
  memory: z
    .string()
    .regex(sizePattern, { error: (issue) => `${quote(issue.input)} is not a size; write one such as 512m or 4g` })
    .refine((size) => !sizePattern.test(size) || (parseSize(size) ?? Infinity) <= memoryBytes.max, {
      error: (issue) => `${quote(issue.input)} is too much; at most ${memoryBytes.maxText} are allowed`,
    })
    .refine((size) => (parseSize(size) ?? memoryBytes.min) >= memoryBytes.min, {
      error: (issue) => `${quote(issue.input)} is too little for a container; write at least ${memoryBytes.minText}`,
    })
    .describe("Memory, swap included; a step that needs more fails with out_of_memory.")
    .optional(),
  pids: z.int().min(pids.min).max(pids.max).describe("Processes and threads.").optional(),
});

/** A job file, every default filled in. */
export const jobSchema = z.strictObject({
  version: z.literal("1").default("1").describe("Version of the job file's format."),
  name: named(
    jobRules.jobName,
    "is not a job name; use lower-case letters, digits, '-' and '_', starting with a letter, two characters or more",
  ).describe("Name of the job; its id starts with it."),
  pool: named(
    jobRules.poolName,
    "is not a pool name; use lower-case letters, digits, '-' and '_', starting with a letter or digit",
  )
    .default("default")
    .describe("Which workers run the job."),
  env: env.default({}),
  secrets: z
    .record(
      named(
        jobRules.envName,
        "is not a variable name; use capitals, digits and '_', starting with a capital, two characters or more",
      ),
      secretName,
    )
    .describe("Secrets that every step gets as environment variables: the variable's name, then the secret's.")
    .default({}),
  registry_auth: secretName
    .describe("Secret with credentials of registries: a Docker configuration as docker login writes it.")
    .optional(),
  timeout: timeout.describe("Longest time for the whole job.").optional(),
  retry: z
    .strictObject({
      attempts: z
        .int()
        .min(1)
        .max(jobRules.retryAttempts)
        .describe("How often a task is tried in all, as long as it fails in one of these ways."),
      on: z
        .array(z.enum(retryClasses))
        .min(1)
        .max(retryClasses.length)
        .default(["exit_code"])
        .describe("Which failures are tried again; failures is exit code 42, exit_code any other."),
    })
    .describe("Further tries after failures of the job's own; those of infrastructure are tried again anyway.")
    .optional(),
  abort: z
    .enum(abortPolicies)
    .default("never")
    .describe(
      "When the rest of the job is aborted: never, when a task fails with exit 42, or on any other failure or timeout.",
    ),
  services: z
    .record(serviceName, serviceSchema)
    .default({})
    .describe("Containers that run beside the steps of each task, which reach them by their names."),
  steps: z.array(stepSchema).min(1).max(jobRules.steps).describe("What every task does, in order."),
  tasks: z
    .array(
      z.union([taskName.transform((name) => ({ name, slots: 1, env: {} }) as z.output<typeof taskSchema>), taskSchema]),
    )
    .min(1)
    .max(jobRules.tasks)
    .describe("The tasks; each runs all steps."),
  resources: resourcesSchema.describe("What each container of a task may use for each slot of the task.").optional(),
  artifacts: artifactsSchema.default({ paths: ["**"] }),
});

/** A job as its file says it, defaults filled in, durations and sizes as text. */
export type JobDocument = z.output<typeof jobSchema>;
export type StepDocument = z.output<typeof stepSchema>;
export type ServiceDocument = z.output<typeof serviceSchema>;
