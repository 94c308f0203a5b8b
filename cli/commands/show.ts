import type { Task, TaskSummary } from "../../shared/api/schemas.ts";
import type { TaskState } from "../../shared/domain/task-state.ts";
import { type Context, withInterrupt } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { renderJob } from "../show/render-job.ts";
import { renderTask } from "../show/render-task.ts";

/** Options of `sluice show`. */
export interface ShowOptions {
  status?: TaskState;
  all?: boolean;
}

/** Above this many tasks, those that completed are left out unless asked for. */
const listAllTasks = 100;

/** `sluice show JOB [TASK]`: everything about a job, or about one of its tasks. */
export function show(context: Context, job: string, task: string | undefined, options: ShowOptions): Promise<number> {
  return withInterrupt(context.runtime, (signal) =>
    task === undefined ? showJob(context, job, options, signal) : showTask(context, job, task, signal),
  );
}

async function showJob(context: Context, jobId: string, options: ShowOptions, signal: AbortSignal): Promise<number> {
  const { out, runtime } = context;
  const api = context.api();
  const job = await api.getJob(jobId, { signal });
  const query = options.status === undefined ? {} : { status: options.status };
  const tasks: TaskSummary[] = await Array.fromAsync(api.eachTask(jobId, query, { signal }));
  if (context.json) {
    context.writeJson({ ...job, tasks });
    return exitCodes.completed;
  }
  const listsAll = options.all === true || options.status !== undefined || tasks.length <= listAllTasks;
  const listed = listsAll ? tasks : tasks.filter(({ status }) => status !== "completed");
  out.writeLines(
    renderJob(job, listed, {
      width: out.columns,
      style: out.style,
      nowMs: runtime.now(),
      hidden: tasks.length - listed.length,
      hint: context.hint,
    }),
  );
  return exitCodes.completed;
}

async function showTask(context: Context, job: string, taskName: string, signal: AbortSignal): Promise<number> {
  const { out, runtime } = context;
  const task: Task = await context.api().getTask(job, taskName, { signal });
  if (context.json) context.writeJson(task);
  else
    out.writeLines(
      renderTask(task, { width: out.columns, style: out.style, nowMs: runtime.now(), hint: context.hint }),
    );
  return exitCodes.completed;
}
