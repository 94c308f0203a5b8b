import pLimit from "p-limit";
import { type ApiClient, ApiError } from "../../shared/api-client/index.ts";
import { isTerminalTaskState, type TaskState } from "../../shared/domain/task-state.ts";
import type { Context } from "../context.ts";
import { explainError, Interrupted } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { StyleName } from "../terminal/style.ts";
import { pad, truncate } from "../terminal/text.ts";
import { followAttempt } from "./follow-attempt.ts";
import { createLogPrinter } from "./log-printer.ts";

/** Shows the logs of all tasks of a job, each line with its task's name before it. */
export interface JobLogs {
  /** Tells where a task is; a new attempt's log is followed from its first line. */
  observe(task: { task: string; attempt: number; status: TaskState }): void;
  /** Waits until all logs have been shown; to be called when the job has ended. */
  finish(): Promise<void>;
  /** Ends at once. */
  stop(): void;
}

/** Logs followed at the same time; further ones wait and lose nothing, for they are kept. */
const maxStreams = 24;
const colors: readonly StyleName[] = ["cyan", "green", "magenta", "yellow", "blue"];
const longestPrefix = 24;

/** Creates what `run --follow` shows logs with. */
export function createJobLogs(context: Context, api: ApiClient, job: string): JobLogs {
  const limit = pLimit(maxStreams);
  const controller = new AbortController();
  const follows = new Map<string, Promise<void>>();
  const overAttempts = new Set<string>();
  const taskColors = new Map<string, StyleName>();
  let prefixWidth = 0;
  let jobHasEnded = false;

  function prefixOf(task: string): string {
    const color = taskColors.get(task) ?? "cyan";
    return `${context.out.style(color, `${pad(truncate(oneLine(task), longestPrefix), prefixWidth)} │`)} `;
  }

  async function follow(task: string, attempt: number, key: string): Promise<void> {
    const { out } = context;
    const printer = createLogPrinter({ out, timestamps: false, prefix: () => prefixOf(task) });
    try {
      await followAttempt(api, {
        job,
        task,
        attempt,
        signal: controller.signal,
        isOver: () => jobHasEnded || overAttempts.has(key),
        onLine: (line) =>
          context.json ? context.writeJson({ type: "log", task, attempt, ...line }) : printer.print([line]),
      });
    } catch (error) {
      if (controller.signal.aborted) return;
      // A log that cannot be read is no reason to stop watching the job.
      const why = error instanceof ApiError && error.status === 404 ? "there is none" : explainError(error).message;
      context.err.write(`${oneLine(task)}: log not shown: ${why}\n`);
    } finally {
      printer.end();
    }
  }

  return {
    observe: ({ task, attempt, status }) => {
      const key = `${task}.${attempt}`;
      if (isTerminalTaskState(status)) overAttempts.add(key);
      if (attempt > 1) overAttempts.add(`${task}.${attempt - 1}`);
      if (attempt === 0 || status === "queued" || follows.has(key)) return;
      prefixWidth = Math.max(prefixWidth, Math.min(longestPrefix, task.length));
      if (!taskColors.has(task)) taskColors.set(task, colors[taskColors.size % colors.length] ?? "cyan");
      follows.set(
        key,
        limit(() => follow(task, attempt, key)),
      );
    },
    finish: async () => {
      jobHasEnded = true;
      await Promise.all(follows.values());
    },
    stop: () => controller.abort(new Interrupted()),
  };
}
