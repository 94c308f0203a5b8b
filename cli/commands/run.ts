import { randomUUID } from "node:crypto";
import type { SubmittedJob } from "../../shared/api/schemas.ts";
import { plural } from "../../shared/domain/format.ts";
import { listImageBuilds, toJobSpec } from "../../shared/jobfile/resolve.ts";
import { type Context, withInterrupt } from "../context.ts";
import { exitCodes, explainError, Interrupted } from "../errors.ts";
import { buildImages } from "../jobs/build-images.ts";
import { type LoadedJob, loadJob } from "../jobs/load-job.ts";
import { createJobLogs } from "../logs/job-logs.ts";
import { printError } from "../terminal/print-error.ts";
import { explainInterrupt, watchJob } from "../watch/watch-job.ts";
import { fetchAndTell } from "./artifact.ts";

/** Options of `sluice run`. */
export interface RunOptions {
  param: string[];
  async?: boolean;
  dryRun?: boolean;
  abortOnFailure?: boolean;
  abortOnError?: boolean;
  follow?: boolean;
  output?: string;
  cancelOnInterrupt?: boolean;
}

/** `sluice run FILE [ARGS…]`: submits the job of a file and watches it; the exit code says how it ended. */
export async function run(context: Context, file: string, args: string[], options: RunOptions): Promise<number> {
  const submitted = await withInterrupt(context.runtime, async (signal) => {
    const loaded = await loadJob(context, { file, args, params: options.param }, signal);
    applyAbort(loaded, options);
    return options.dryRun === true ? printDryRun(context, loaded) : submit(context, loaded, signal);
  });
  if (!submitted) return exitCodes.completed;
  tellSubmitted(context, submitted, options.async === true);
  return options.async === true ? exitCodes.completed : watchRun(context, submitted.job, options);
}

function applyAbort({ job }: LoadedJob, options: RunOptions): void {
  if (options.abortOnFailure === true) job.abort = "on-failure";
  if (options.abortOnError === true) job.abort = "on-error";
}

/** Shows the job as it would be submitted; images that would be built are named by their dockerfile. */
async function printDryRun(context: Context, { job }: LoadedJob): Promise<void> {
  const builds = listImageBuilds(job);
  const spec = toJobSpec(
    job,
    new Map(builds.map(({ stepIndex }) => [stepIndex, { imageId: "(not built)", layers: [] }])),
  );
  const steps = spec.steps.map((step, index) => {
    const build = builds.find(({ stepIndex }) => stepIndex === index);
    if (!build || step.kind !== "container") return step;
    const { image: _image, shipped: _shipped, layers: _layers, ...rest } = step;
    const { dockerfile, context: buildContext, options } = build;
    return { ...rest, build: { dockerfile, context: buildContext, options } };
  });
  const resolved = { ...spec, steps };
  if (context.json) context.writeJson(resolved);
  else {
    const { stringify } = await import("yaml");
    context.out.write(stringify(resolved, { lineWidth: 0 }));
  }
}

async function submit(context: Context, loaded: LoadedJob, signal: AbortSignal): Promise<SubmittedJob> {
  const api = context.api();
  let isSent = false;
  try {
    const spec = toJobSpec(loaded.job, await buildImages(context, api, loaded, signal));
    isSent = true;
    // One key for all tries: an answer that got lost must not make a second job.
    return await api.submitJob(spec, { idempotencyKey: randomUUID(), signal });
  } catch (error) {
    if (error instanceof Interrupted) {
      context.note(isSent ? `it may have been submitted: ${context.hint("ps")}` : "nothing was submitted");
    }
    throw error;
  }
}

function tellSubmitted(context: Context, submitted: SubmittedJob, isAsync: boolean): void {
  const { job, url, tasks } = submitted;
  if (context.json) context.writeJson({ job, url });
  else {
    // The id alone on stdout, for `job=$(sluice run --async …)`.
    if (isAsync) context.out.write(`${job}\n`);
    context.note(`${job}: submitted, ${plural(tasks, "task")}`);
    if (isAsync) context.note(`watch it: ${context.hint(`watch ${job}`)}`);
  }
}

async function watchRun(context: Context, jobId: string, options: RunOptions): Promise<number> {
  const api = context.api();
  let fetchExitCode: number = exitCodes.completed;
  const { output } = options;
  const fetchOutput = async (signal: AbortSignal): Promise<void> => {
    if (output === undefined) return;
    try {
      await fetchAndTell(context, api, jobId, [], { output }, signal);
    } catch (error) {
      // The job's own end is still to be told.
      if (error instanceof Interrupted) throw error;
      printError(context.err, explainError(error));
      fetchExitCode = explainError(error).exitCode;
    }
  };
  const outcome = await watchJob(context, api, jobId, {
    cancelOnInterrupt: options.cancelOnInterrupt === true,
    logs: options.follow === true ? createJobLogs(context, api, jobId) : undefined,
    beforeSummary: fetchOutput,
    tellsArtifacts: output === undefined,
    tellsSubmit: false,
  });
  if (outcome.kind === "ended") return outcome.exitCode === exitCodes.completed ? fetchExitCode : outcome.exitCode;
  explainInterrupt(context, jobId, outcome.jobIs);
  return exitCodes.interrupted;
}
