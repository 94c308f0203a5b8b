import { type Context, withInterrupt } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { renderWhy } from "../show/render-why.ts";

/** `sluice why JOB TASK`: why a task waits, where it runs, or why it ended so, with the evidence. */
export function why(context: Context, job: string, task: string): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const { out, runtime, hint } = context;
    const answer = await context.api().explainTask(job, task, { signal });
    if (context.json) context.writeJson(answer);
    else out.writeLines(renderWhy(answer, { width: out.columns, style: out.style, nowMs: runtime.now(), hint }));
    return exitCodes.completed;
  });
}
