import { listImageBuilds } from "../../shared/jobfile/resolve.ts";
import { type Context, withInterrupt } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { loadJob } from "../jobs/load-job.ts";
import { plural } from "../terminal/format.ts";
import { oneLine } from "../terminal/one-line.ts";

/** `sluice validate FILE [ARGS…]`: says whether a job file could be run, without building or sending anything. */
export function validate(
  context: Context,
  file: string,
  args: string[],
  options: { param: string[] },
): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const { job } = await loadJob(context, { file, args, params: options.param }, signal);
    const builds = listImageBuilds(job).length;
    if (context.json) {
      context.writeJson({ valid: true, name: job.name, tasks: job.tasks.length, steps: job.steps.length, builds });
    } else {
      const parts = [plural(job.tasks.length, "task"), plural(job.steps.length, "step")];
      if (builds > 0) parts.push(`${plural(builds, "image")} to build`);
      context.out.write(`${oneLine(file)} is valid: job ${job.name}, ${parts.join(", ")}\n`);
    }
    return exitCodes.completed;
  });
}
