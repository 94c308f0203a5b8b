import { randomUUID } from "node:crypto";
import { formatNumber, plural } from "../../shared/domain/format.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";

/** Names of tasks that are told at most. */
const listedTasks = 20;

/** `sluice retry JOB [TASK…]`: runs ended tasks again, those that failed or timed out where none is named. */
export async function retry(context: Context, job: string, tasks: readonly string[]): Promise<number> {
  const named = tasks.length === 0 ? undefined : tasks;
  const retried = await context.api().retryTasks(job, named, { idempotencyKey: randomUUID() });
  if (context.json) {
    context.writeJson(retried);
    return exitCodes.completed;
  }
  const hidden = retried.tasks.length - listedTasks;
  const names = retried.tasks.slice(0, listedTasks).map(oneLine).join(", ");
  const more = hidden > 0 ? ` and ${formatNumber(hidden)} more` : "";
  context.out.write(`retrying ${plural(retried.tasks.length, "task")} of ${oneLine(job)}: ${names}${more}\n`);
  if (retried.dependants > 0) {
    const needs = retried.dependants === 1 ? "needs" : "need";
    const them = retried.tasks.length === 1 ? "it" : "them";
    context.out.write(`${plural(retried.dependants, "task")} that ${needs} ${them} will follow\n`);
  }
  context.note(`see it run: ${context.hint(`watch ${oneLine(job)}`)}`);
  return exitCodes.completed;
}
