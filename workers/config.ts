import { resolve } from "node:path";
import { z } from "zod";
import { jobRules } from "../shared/jobfile/rules.ts";
import { type DockerAddress, parseDockerHost } from "./docker-address.ts";
import { type DrainConfig, drainEnv, readDrainConfig } from "./drain-config.ts";
import type { Isolation } from "./executors/docker/isolation.ts";
import { type HealthConfig, healthEnv, readHealthConfig } from "./health/health-config.ts";
import type { CacheLimits } from "./images/expiry.ts";
import { parseIsolation } from "./isolation-config.ts";
import { type NoticeConfig, noticeEnv, readNoticeConfig } from "./notices/notice-config.ts";
import { Secret } from "./secret.ts";

/** What steps a worker runs: containers, processes of its own host, or both. */
export const executorKinds = ["docker", "process"] as const;
export type ExecutorKind = (typeof executorKinds)[number];

/** What kind of machine a worker runs on. */
export type Provider = "local" | "ec2" | "openstack";

/** Everything a worker is told by its environment. Where AWS is, the AWS SDK reads by itself. */
export interface WorkerConfig {
  controlPlaneUrl: URL;
  token: Secret;
  pool: string;
  slots: number;
  /** Absolute path of the folder that holds the workspaces. */
  workDir: string;
  executors: readonly ExecutorKind[];
  docker: DockerAddress;
  provider: Provider;
  notices: NoticeConfig;
  health: HealthConfig;
  /** How far the containers of tasks are kept apart from this machine. */
  isolation: Isolation;
  imageCache: CacheLimits;
  /** How images of AWS's private registries are signed in for; undefined: only as jobs say. */
  ecr: { endpoint: string | undefined } | undefined;
  /** Digest of the image that this worker or its machine was started from, where somebody told. */
  imageDigest: string | undefined;
  drain: DrainConfig;
  /** Bytes of text that are kept of the log of one step, and of one service, in one attempt. */
  maxLogBytes: { step: number; service: number };
  /** The variables of the worker's own environment that host-process steps may see. */
  hostEnv: Readonly<Record<string, string>>;
}

export type ParsedConfig = { ok: true; config: WorkerConfig } | { ok: false; problems: string[] };

/** Host variables that processes need to work at all; nothing else of the worker's environment reaches a step. */
const passedHostVariables = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/** A log as large as this can still be read, searched and fetched whole. */
const defaultStepLogBytes = 1024 ** 3;
/** A chatty service must not fill the bucket. */
const defaultServiceLogBytes = 32 * 1024 ** 2;

const wholeNumber = z.string().regex(/^\d+$/, "is a whole number").transform(Number);

const isHttpUrl = (text: string) => /^https?:\/\//.test(text) && URL.canParse(text);

/** Beside workspaces and the images in use, on the 50 GB that a worker's machine has on AWS. */
const defaultImageCacheGb = 20;
const defaultImageCacheDays = 7;
const bytesPerGb = 1e9;
const msPerDay = 86_400_000;
/** Three times as long as workers take to say what their tasks need. */
const minIdleMs = 15 * 60_000;

/** What a check of its own holds against each other, whatever is wrong with the rest. */
const isolationEnv = {
  SLUICE_PROVIDER: z.enum(["local", "ec2", "openstack"], { error: "is local, ec2 or openstack" }).default("local"),
  SLUICE_METADATA: z.enum(["blocked", "reachable"], { error: "is blocked or reachable" }).default("blocked"),
  SLUICE_CAPABILITIES: z.string().default(""),
};

const envSchema = z.object({
  SLUICE_URL: z
    .string({ error: "is missing: set it to the URL of the control plane, such as http://127.0.0.1:4400" })
    .refine(isHttpUrl, "is an http:// or https:// URL"),
  SLUICE_TOKEN: z
    .string({ error: "is missing: set it to a token with the role 'worker'" })
    .min(1, "is empty: set it to a token with the role 'worker'")
    .refine((token) => /^[\x21-\x7e]*$/.test(token), "holds spaces or other characters that no token has"),
  SLUICE_POOL: z
    .string()
    .max(jobRules.poolName.maxLength, `has at most ${jobRules.poolName.maxLength} characters`)
    .regex(jobRules.poolName.pattern, "is a pool's name: lower-case letters, digits, - and _")
    .default("default"),
  SLUICE_SLOTS: wholeNumber
    .refine((slots) => slots >= 1 && slots <= jobRules.slotsPerTask, `is between 1 and ${jobRules.slotsPerTask}`)
    .optional(),
  SLUICE_WORK_DIR: z.string().min(1, "is empty: name a folder").default("/var/lib/sluice/work"),
  SLUICE_EXECUTORS: z.string().default("docker"),
  ...isolationEnv,
  SLUICE_IMAGE_CACHE_GB: wholeNumber.default(defaultImageCacheGb),
  SLUICE_IMAGE_CACHE_DAYS: wholeNumber.default(defaultImageCacheDays),
  SLUICE_IMAGE_DIGEST: z.string().min(1, "is empty").max(200, "has at most 200 characters").optional(),
  SLUICE_ECR: z.enum(["on", "off"], { error: "is on or off" }).optional(),
  AWS_ENDPOINT_URL_ECR: z.string().refine(isHttpUrl, "is an http:// or https:// URL").optional(),
  SLUICE_STEP_LOG_BYTES: wholeNumber.optional(),
  SLUICE_SERVICE_LOG_BYTES: wholeNumber.optional(),
  DOCKER_HOST: z.string().optional(),
  ...drainEnv,
  ...noticeEnv,
  ...healthEnv,
});

/** The names of all variables that `parseConfig` reads. */
export const workerVariables: readonly string[] = Object.keys(envSchema.shape);

/** Reads the worker's configuration from its environment; pure, and tells all problems at once. */
export function parseConfig(
  env: Readonly<Record<string, string | undefined>>,
  host: { cores: number; cwd: string; stopTimeoutMs?: number | undefined },
): ParsedConfig {
  const parsed = envSchema.safeParse(env);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`);
  const executors = parseExecutors(env.SLUICE_EXECUTORS ?? "docker", problems);
  const docker = parseDockerHost(env.DOCKER_HOST);
  const drain = readDrainConfig(env, host.stopTimeoutMs, problems);
  const isolation = readIsolation(env, executors, problems);
  if (!docker.ok) problems.push(`DOCKER_HOST ${docker.problem}`);
  if (!parsed.success || !docker.ok || !drain || !isolation || problems.length > 0) return { ok: false, problems };
  const values = parsed.data;
  return {
    ok: true,
    config: {
      controlPlaneUrl: new URL(values.SLUICE_URL),
      token: new Secret(values.SLUICE_TOKEN),
      pool: values.SLUICE_POOL,
      slots: values.SLUICE_SLOTS ?? Math.max(1, host.cores),
      workDir: resolve(host.cwd, values.SLUICE_WORK_DIR),
      executors,
      docker: docker.address,
      provider: values.SLUICE_PROVIDER,
      health: readHealthConfig(values, values.SLUICE_PROVIDER),
      notices: readNoticeConfig(values, values.SLUICE_PROVIDER, host.cwd),
      isolation,
      imageCache: {
        maxBytes: values.SLUICE_IMAGE_CACHE_GB * bytesPerGb,
        maxAgeMs: values.SLUICE_IMAGE_CACHE_DAYS * msPerDay,
        minIdleMs,
      },
      ecr: readEcr(values),
      imageDigest: values.SLUICE_IMAGE_DIGEST,
      drain,
      maxLogBytes: {
        step: values.SLUICE_STEP_LOG_BYTES ?? defaultStepLogBytes,
        service: values.SLUICE_SERVICE_LOG_BYTES ?? defaultServiceLogBytes,
      },
      hostEnv: pickHostEnv(env),
    },
  };
}

function readIsolation(
  env: Readonly<Record<string, string | undefined>>,
  executors: readonly ExecutorKind[],
  problems: string[],
): Isolation | undefined {
  const parsed = z.object(isolationEnv).safeParse(env);
  // Told with the other variables.
  if (!parsed.success) return undefined;
  const { SLUICE_METADATA: metadata, SLUICE_CAPABILITIES: capabilities, SLUICE_PROVIDER: provider } = parsed.data;
  return parseIsolation({ metadata, capabilities }, { provider, executors }, problems);
}

/** Only a machine on AWS has a role by itself; others are told that their credentials are meant for this, too. */
function readEcr(values: z.infer<typeof envSchema>): WorkerConfig["ecr"] {
  const isOn = values.SLUICE_ECR === undefined ? values.SLUICE_PROVIDER === "ec2" : values.SLUICE_ECR === "on";
  return isOn ? { endpoint: values.AWS_ENDPOINT_URL_ECR } : undefined;
}

function parseExecutors(text: string, problems: string[]): ExecutorKind[] {
  const names = text.split(",").map((name) => name.trim());
  const known = executorKinds.filter((kind) => names.includes(kind));
  if (known.length === 0 || names.some((name) => !known.includes(name as ExecutorKind))) {
    problems.push(
      `SLUICE_EXECUTORS is a list of ${executorKinds.join(" and ")}, such as docker,process; it is '${text}'`,
    );
  }
  return known;
}

function pickHostEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of passedHostVariables) {
    const value = env[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
