import type { HealthSpec, JobSpec, ResourcesSpec, ServiceSpec, StepEntry, StepSpec, TaskSpec } from "./job-spec.ts";
import type { JobDocument, ServiceDocument, StepDocument } from "./schema.ts";
import { parseDuration, parseSize } from "./units.ts";

/** An image that must be built before the job can be submitted; paths are relative to the job file's folder. */
export interface ImageBuild {
  /** 0-based index of the step that runs in it. */
  stepIndex: number;
  stepName: string;
  dockerfile: string;
  context: string;
  options: string[];
}

/** An image that was built: its id and the digests of its layers, the lowest first. */
export interface BuiltImage {
  imageId: string;
  layers: string[];
}

/** The images that a job's dockerfile steps need, in the order of the steps. */
export function listImageBuilds(job: JobDocument): ImageBuild[] {
  return job.steps.flatMap((step, stepIndex) => {
    const { dockerfile, context = ".", options = [] } = step;
    if (dockerfile === undefined) return [];
    return [{ stepIndex, stepName: nameStep(step, stepIndex), dockerfile, context, options }];
  });
}

/**
 * The job as the API takes it. `builtImages` holds the image of every dockerfile step by its index;
 * throws where one is absent, for that is a mistake of the caller, not of the user.
 */
export function toJobSpec(job: JobDocument, builtImages: ReadonlyMap<number, BuiltImage> = new Map()): JobSpec {
  const { name, pool, env, secrets, abort, resources, artifacts, retry } = job;
  return {
    name,
    pool,
    env,
    ...(Object.keys(secrets).length > 0 && { secrets }),
    ...(job.registry_auth !== undefined && { registryAuth: job.registry_auth }),
    ...timeoutOf(job),
    ...(retry !== undefined && { retry }),
    abort,
    services: Object.fromEntries(
      Object.entries(job.services).map(([serviceName, service]) => [serviceName, toServiceSpec(service)]),
    ),
    steps: job.steps.map((step, index) => toStepSpec(step, index, builtImages)),
    tasks: job.tasks.map(toTaskSpec),
    ...(resources !== undefined && { resources: toResourcesSpec(resources) }),
    artifacts: {
      paths: artifacts.paths,
      ...(artifacts.exclude !== undefined && { exclude: artifacts.exclude }),
      ...(artifacts.retention !== undefined && { retentionMs: toMs(artifacts.retention) }),
    },
  };
}

function toStepSpec(step: StepDocument, index: number, builtImages: ReadonlyMap<number, BuiltImage>): StepSpec {
  const common = {
    name: nameStep(step, index),
    env: step.env,
    ...timeoutOf(step),
    ...(step.workdir !== undefined && { workdir: step.workdir }),
  };
  const entry = entryOf(step);
  if (step.dockerfile !== undefined) {
    const image = builtImages.get(index);
    if (image === undefined) throw new Error(`steps[${index}] has a dockerfile, but no image was built for it`);
    return { kind: "container", image: image.imageId, shipped: true, layers: image.layers, entry, ...common };
  }
  if (step.image !== undefined) return { kind: "container", image: step.image, shipped: false, entry, ...common };
  if (entry === null) throw new Error(`steps[${index}] has neither an image nor a command`);
  return { kind: "process", entry, ...common };
}

function nameStep({ name }: StepDocument, index: number): string {
  return name ?? `step-${index + 1}`;
}

function entryOf(step: StepDocument): StepEntry | null {
  if (step.run !== undefined) return { run: step.run };
  if (step.command !== undefined) return { command: step.command };
  return null;
}

function toServiceSpec({ image, command, env, tmpfs, health }: ServiceDocument): ServiceSpec {
  return {
    image,
    ...(command !== undefined && { command }),
    env,
    tmpfs,
    ...(health !== undefined && { health: toHealthSpec(health) }),
  };
}

function toHealthSpec(health: NonNullable<ServiceDocument["health"]>): HealthSpec {
  return {
    check: toCheck(health),
    timeoutMs: toMs(health.timeout),
    intervalMs: toMs(health.interval),
    retries: health.retries,
    startPeriodMs: toMs(health.start_period),
  };
}

function toCheck({ cmd, tcp, http, log }: NonNullable<ServiceDocument["health"]>): HealthSpec["check"] {
  if (cmd !== undefined) return { kind: "cmd", command: cmd };
  if (tcp !== undefined) return { kind: "tcp", port: tcp };
  if (log !== undefined) return { kind: "log", text: log };
  const [, port, path] = /^:(\d+)(.*)$/.exec(http ?? "") ?? [];
  if (port === undefined) throw new Error("a health check has neither cmd, tcp, http nor log");
  return { kind: "http", port: Number(port), path: path || "/" };
}

function toResourcesSpec({ cpus, memory, pids }: NonNullable<JobDocument["resources"]>): ResourcesSpec {
  return {
    ...(cpus !== undefined && { cpus }),
    ...(memory !== undefined && { memoryBytes: toBytes(memory) }),
    ...(pids !== undefined && { pids }),
  };
}

/** A task as the API takes it. */
export function toTaskSpec(task: JobDocument["tasks"][number]): TaskSpec {
  const { name, slots, env, needs = [] } = task;
  return { name, slots, ...timeoutOf(task), env, ...(needs.length > 0 && { needs }) };
}

function timeoutOf(holder: { timeout?: string | undefined }): { timeoutMs?: number } {
  return holder.timeout === undefined ? {} : { timeoutMs: toMs(holder.timeout) };
}

function toMs(duration: string): number {
  const durationMs = parseDuration(duration);
  if (durationMs === undefined) throw new Error(`'${duration}' is not a duration`);
  return durationMs;
}

function toBytes(size: string): number {
  const bytes = parseSize(size);
  if (bytes === undefined) throw new Error(`'${size}' is not a size`);
  return bytes;
}
