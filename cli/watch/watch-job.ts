import { setTimeout as delay } from "node:timers/promises";
import type { Job } from "../../shared/api/schemas.ts";
import { type ApiClient, ConnectionError } from "../../shared/api-client/index.ts";
import { applyEvent, type JobView, startView, type TaskView, viewTask } from "../../shared/api-client/job-view.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { terminalTaskStates } from "../../shared/domain/task-state.ts";
import type { Context } from "../context.ts";
import { exitCodes, Interrupted } from "../errors.ts";
import type { JobLogs } from "../logs/job-logs.ts";
import {
  createJsonDisplay,
  createLineDisplay,
  createLiveDisplay,
  createQuietDisplay,
  type Display,
} from "./display.ts";
import { renderSummary } from "./summary.ts";

/** How to watch a job. */
export interface WatchOptions {
  /** Cancels the job when Ctrl-C is pressed, and goes on watching until it has ended. */
  cancelOnInterrupt: boolean;
  /** Shows the logs of all tasks too. */
  logs?: JobLogs | undefined;
  /** Runs when the job has ended, before the summary: the last line is the outcome's. */
  beforeSummary?: (signal: AbortSignal) => Promise<void>;
  /** Says in the summary how to fetch artifacts. */
  tellsArtifacts: boolean;
  /** Says that the job was submitted; whoever submitted it has said so already. */
  tellsSubmit: boolean;
}

/** How watching ended; after an interrupt, what becomes of the job. */
export type WatchOutcome =
  | { kind: "ended"; job: Job; exitCode: number }
  | { kind: "interrupted"; jobIs: "going on" | "being cancelled" | "ended" };

/** So many events from before the watch began are shown in plain lines; more would only be in the way. */
const shortPastEvents = 300;
/** Tasks listed in the summary of a job. */
const summaryTasks = 20;

/** Watches a job to its end, shows it as the context says, and prints the summary. */
export async function watchJob(
  context: Context,
  api: ApiClient,
  jobId: string,
  options: WatchOptions,
): Promise<WatchOutcome> {
  const controller = new AbortController();
  const { signal } = controller;
  let cancelling = false;
  let job: Job | undefined;
  let display: Display | undefined;
  const stopListening = context.runtime.onInterrupt(() => {
    if (!options.cancelOnInterrupt || cancelling) return controller.abort(new Interrupted());
    cancelling = true;
    display?.showNote(`cancelling ${jobId}; press Ctrl-C again to stop watching`);
    api.cancelJob(jobId, { signal }).catch((error: unknown) => controller.abort(error));
  });
  try {
    const createDisplay = chooseDisplay(context, options);
    const view = await readView(context, api, jobId, signal);
    display = await createDisplay(view);
    job = await followToEnd(api, view, { display, signal, logs: options.logs });
    await options.logs?.finish();
    display.stop();
    await options.beforeSummary?.(signal);
    await printSummary(context, api, job, { view, signal, tellsArtifacts: options.tellsArtifacts });
    if (cancelling) return { kind: "interrupted", jobIs: "ended" };
    return { kind: "ended", job, exitCode: exitCodeOf(job) };
  } catch (error) {
    display?.stop();
    if (error instanceof Interrupted) {
      return { kind: "interrupted", jobIs: job ? "ended" : cancelling ? "being cancelled" : "going on" };
    }
    if (display && error instanceof ConnectionError) {
      context.note(`lost contact; ${jobId} goes on without it; watch it again: ${context.hint(`watch ${jobId}`)}`);
    }
    throw error;
  } finally {
    options.logs?.stop();
    stopListening();
  }
}

/** Says after Ctrl-C what becomes of the job and how to go on. */
export function explainInterrupt(
  context: Context,
  jobId: string,
  jobIs: "going on" | "being cancelled" | "ended",
): void {
  if (jobIs === "ended") return;
  context.err.write(`stopped watching; ${jobId} is ${jobIs}\n`);
  context.err.write(`  watch it again: ${context.hint(`watch ${jobId}`)}\n`);
  if (jobIs === "going on") context.err.write(`  end it:         ${context.hint(`cancel ${jobId}`)}\n`);
}

function exitCodeOf(job: Job): number {
  if (job.status === "completed") return exitCodes.completed;
  return job.status === "aborted" ? exitCodes.aborted : exitCodes.failed;
}

async function readView(context: Context, api: ApiClient, jobId: string, signal: AbortSignal): Promise<JobView> {
  const job = await api.getJob(jobId, { signal });
  // JSON shows every event from the first on, so there is nothing to list.
  if (context.json) return startView(job, []);
  const tasks = await Array.fromAsync(api.eachTask(jobId, {}, { signal }));
  return startView(job, tasks);
}

/** Chooses the display at once and makes it when there is something to show: what it needs is loaded meanwhile. */
function chooseDisplay(
  context: Context,
  { logs, tellsSubmit }: Pick<WatchOptions, "logs" | "tellsSubmit">,
): (view: JobView) => Display | Promise<Display> {
  if (context.json) return () => createJsonDisplay(context);
  if (context.quiet) return () => createQuietDisplay(context);
  // A live view and logs would write over each other.
  if (!context.err.isTty || logs) return (view) => createLineDisplay(context, view, tellsSubmit);
  const logUpdate = import("log-update");
  return (view) => createLiveDisplay(context, view, logUpdate);
}

interface FollowParts {
  display: Display;
  signal: AbortSignal;
  logs: JobLogs | undefined;
}

/** Follows events until the API itself says that the job has ended; events alone are not taken for it. */
async function followToEnd(api: ApiClient, view: JobView, parts: FollowParts): Promise<Job> {
  const { display, signal, logs } = parts;
  const showsPast =
    display.wantsPast === "all" || (display.wantsPast === "short" && view.countedSeq <= shortPastEvents);
  let after = showsPast ? 0 : view.countedSeq;
  for (const task of view.tasks.values()) logs?.observe(task);
  while (true) {
    const onStatus = display.showConnection;
    for await (const event of api.followEvents(view.job, after, { signal, onStatus })) {
      after = event.seq;
      applyEvent(view, event);
      if (event.type === "task.transition") logs?.observe({ ...event, status: event.to });
      display.showEvent(event);
    }
    const job = await api.getJob(view.job, { signal });
    if (isTerminalJobState(job.status)) return job;
    // A task was retried between the last event and this read: there is more to follow.
    await delay(500, undefined, { signal });
  }
}

interface SummaryParts {
  view: JobView;
  signal: AbortSignal;
  tellsArtifacts: boolean;
}

async function printSummary(context: Context, api: ApiClient, job: Job, parts: SummaryParts): Promise<void> {
  if (context.json) return context.writeJson({ type: "summary", ...job });
  const tasks = await collectTasks(api, job, parts.view, parts.signal);
  const warnings = tasks.filter((task) => task.status === "failed" && task.warning).length;
  const withArtifacts = parts.tellsArtifacts ? tasks.filter(({ artifactCount }) => artifactCount > 0) : [];
  const artifacts = {
    tasks: withArtifacts.length,
    bytes: withArtifacts.reduce((sum, { artifactBytes }) => sum + artifactBytes, 0),
  };
  const lines = renderSummary(
    { job, tasks, warnings, artifacts },
    {
      width: context.out.columns,
      style: context.out.style,
      nowMs: context.runtime.now(),
      maxTasks: summaryTasks,
      listCompleted: context.err.isTty,
      hint: context.hint,
    },
  );
  context.out.writeLines(context.quiet ? lines.slice(-1) : lines);
}

/**
 * The tasks the summary speaks of. Where what was seen does not add up to what the API counts (a list that was older
 * than the counts), the tasks that did not complete are read once more.
 */
async function collectTasks(api: ApiClient, job: Job, view: JobView, signal: AbortSignal): Promise<TaskView[]> {
  const seen = [...view.tasks.values()];
  const tallies = terminalTaskStates.every(
    (state) => state === "completed" || seen.filter(({ status }) => status === state).length === job.counts[state],
  );
  if (tallies) return seen;
  const incomplete: TaskView[] = [];
  for (const status of terminalTaskStates) {
    if (status === "completed" || job.counts[status] === 0) continue;
    for await (const task of api.eachTask(job.job, { status }, { signal })) incomplete.push(viewTask(task));
  }
  return [...seen.filter(({ status }) => status === "completed"), ...incomplete];
}
