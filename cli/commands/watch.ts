import type { Context } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { explainInterrupt, watchJob } from "../watch/watch-job.ts";

/** `sluice watch JOB`: shows how a job goes until it ends; the exit code says how. */
export async function watch(context: Context, job: string): Promise<number> {
  const options = { cancelOnInterrupt: false, tellsArtifacts: true, tellsSubmit: true };
  const outcome = await watchJob(context, context.api(), job, options);
  if (outcome.kind === "ended") return outcome.exitCode;
  explainInterrupt(context, job, outcome.jobIs);
  return exitCodes.interrupted;
}
