import type { Context } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";

/** `sluice cancel JOB [TASK]`: asks for the end of a job or of one task; what it has done so far is kept. */
export async function cancel(context: Context, job: string, task: string | undefined): Promise<number> {
  const api = context.api();
  const cancelled = task === undefined ? await api.cancelJob(job) : await api.cancelTask(job, task);
  if (context.json) {
    context.writeJson(cancelled);
    return exitCodes.completed;
  }
  const what = oneLine(task === undefined ? job : `${job}/${task}`);
  if (cancelled.status === "already_ended") context.out.write(`${what} has ended already; nothing to cancel\n`);
  else context.out.write(`cancelling ${what}; see it end: ${context.hint(`watch ${oneLine(job)}`)}\n`);
  return exitCodes.completed;
}
