import { plural } from "../../shared/domain/format.ts";
import { listImageBuilds } from "../../shared/jobfile/resolve.ts";
import { type Context, withInterrupt } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { checkJob, type JobFileInput, type LoadedJob, loadJob } from "../jobs/load-job.ts";
import { oneLine } from "../terminal/one-line.ts";

/** `sluice validate FILE [ARGS…]`: says whether a job file could be run, without building or sending anything. */
export function validate(
  context: Context,
  file: string,
  args: string[],
  options: { param: string[] },
): Promise<number> {
  const input: JobFileInput = { file, args, params: options.param };
  return withInterrupt(context.runtime, async (signal) => {
    if (context.json) return validateAsJson(context, input, signal);
    const { job, builds } = countBuilds(await loadJob(context, input, signal));
    const parts = [plural(job.tasks.length, "task"), plural(job.steps.length, "step")];
    if (builds > 0) parts.push(`${plural(builds, "image")} to build`);
    context.out.write(`${oneLine(file)} is valid: job ${job.name}, ${parts.join(", ")}\n`);
    return exitCodes.completed;
  });
}

/** The verdict is the document: also an invalid file is told on stdout. */
async function validateAsJson(context: Context, input: JobFileInput, signal: AbortSignal): Promise<number> {
  const result = await checkJob(context, input, signal);
  if (!result.ok) {
    context.writeJson({ valid: false, problems: result.problems });
    return exitCodes.usage;
  }
  const { job, builds } = countBuilds(result);
  context.writeJson({ valid: true, name: job.name, tasks: job.tasks.length, steps: job.steps.length, builds });
  return exitCodes.completed;
}

function countBuilds({ job }: LoadedJob) {
  return { job, builds: listImageBuilds(job).length };
}
