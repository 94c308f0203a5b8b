import { setTimeout as delay } from "node:timers/promises";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import type { Task } from "../../shared/api/schemas.ts";
import type { ApiClient, LogQuery } from "../../shared/api-client/index.ts";
import { viewTask } from "../../shared/api-client/job-view.ts";
import { isLogEndLost } from "../../shared/domain/lost-log.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { type Context, withInterrupt } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { followAttempt } from "../logs/follow-attempt.ts";
import { type LogPlace, type LogPlaceOptions, parseLogPlace } from "../logs/log-place.ts";
import { createLogPrinter, eachApiLines } from "../logs/log-printer.ts";
import { outlast } from "../logs/outlast.ts";
import { printLogBytes } from "../logs/print-log-bytes.ts";
import { type ReadLogChunk, readLogChunks } from "../logs/read-log-chunks.ts";
import { oneLine } from "../terminal/one-line.ts";
import { explainReason, lookOf } from "../watch/task-line.ts";

/** Options of `sluice logs`. */
export interface LogsOptions extends LogPlaceOptions {
  step?: number;
  service?: string;
  attempt?: number;
}

/** How often a task that has not started yet, or waits for its next attempt, is looked at. */
const waitMs = 1_000;

/** `sluice logs JOB TASK`: the log of a task, and with `-f` what comes until it ends. */
export function logs(context: Context, job: string, taskName: string, options: LogsOptions): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const api = context.api();
    if (options.step !== undefined && options.service !== undefined) {
      throw new CliError(exitCodes.usage, "--step and --service exclude each other; keep one of them");
    }
    const place = parseLogPlace(options, { json: context.json, nowMs: Date.now() });
    const task = await api.getTask(job, taskName, { signal });
    if (options.attempt !== undefined && options.attempt > task.attempt) {
      const had = task.attempt === 0 ? "it has not started yet" : `it had ${task.attempt}`;
      throw new CliError(exitCodes.notFound, `${oneLine(taskName)} has no attempt ${options.attempt}: ${had}`);
    }
    const writer = createWriter(context, options);
    const reading: Reading = { context, api, options, place, writer, signal };
    if (options.follow === true) await followTask(reading, task);
    else await readTask(reading, task);
    writer.end();
    return exitCodes.completed;
  });
}

/** What a log is read with. */
interface Reading {
  context: Context;
  api: ApiClient;
  options: LogsOptions;
  place: LogPlace;
  writer: LineWriter;
  signal: AbortSignal;
}

interface LineWriter {
  write(attempt: number, lines: readonly ApiLogLine[]): void;
  writeChunk(chunk: ReadLogChunk): void;
  end(): void;
}

function createWriter(context: Context, options: LogsOptions): LineWriter {
  const printer = createLogPrinter({ out: context.out, timestamps: options.timestamps === true });
  let step: number | undefined;
  // On a terminal a rule shows where another step begins; files get the log and nothing else.
  const enterStep = (next: number | undefined) => {
    if (step !== undefined && step !== next && context.out.isTty) {
      printer.end();
      context.out.write(`${context.out.style("dim", `── step ${next} ──`)}\n`);
    }
    step = next;
  };
  return {
    write: (attempt, lines) => {
      for (const line of lines) {
        if (context.json) {
          context.writeJson({ attempt, ...line });
          continue;
        }
        enterStep(line.step);
        printer.print([line]);
      }
    },
    writeChunk: (chunk) => {
      if (context.json) {
        const { attempt } = chunk;
        for (const lines of eachApiLines(chunk)) {
          context.out.writeLines(lines.map((line) => JSON.stringify({ attempt, ...line })));
        }
        return;
      }
      enterStep(chunk.step);
      printer.printChunk(chunk);
    },
    end: () => printer.end(),
  };
}

async function readTask({ context, api, options, place, writer, signal }: Reading, task: Task): Promise<void> {
  const attempt = options.attempt ?? task.attempt;
  if (attempt === 0) return context.note(explainNoLog(task, context.json ? "" : ", follow it with -f"));
  const { step, service } = options;
  const choice = { attempt, step, service };
  if (place.bytes !== undefined) {
    const answer = await api.readLogBytes(task.job, task.task, choice, place.bytes, { signal });
    return printLogBytes(context.out, answer);
  }
  const { tail, since, lines } = place;
  let isEmpty = true;
  if (tail !== undefined) {
    // What a running task has written since then is not asked for.
    const page = await api.readLog(task.job, task.task, { ...choice, tail }, { signal });
    isEmpty = page.lines.length === 0;
    writer.write(page.attempt, page.lines);
  } else {
    const query = { ...choice, since, lines };
    for await (const chunk of readLogChunks(api, { job: task.job, task: task.task, query, signal })) {
      isEmpty = false;
      writer.writeChunk(chunk);
      // The reader may have had enough (`| head`).
      if (context.out.closed) return;
      await context.out.drained();
    }
  }
  writer.end();
  // Where no lines, or certain ones, were asked for, that there are no more says nothing.
  if (tail === 0 || lines !== undefined) return;
  if (isEmpty && since === undefined) context.note(explainEmpty(task, attempt, service));
  noteLostEnd(context, task, attempt);
}

/** Half a log must not be taken for a whole one. */
function noteLostEnd(context: Context, task: Task, attempt: number): void {
  const record = task.attempts.find((candidate) => candidate.attempt === attempt);
  if (record === undefined || !isLogEndLost(record)) return;
  context.note(`the end of this log is missing: attempt ${attempt} of ${oneLine(task.task)} was lost with its worker`);
}

async function followTask(reading: Reading, first: Task): Promise<void> {
  const { context, api, options, signal } = reading;
  const { job, task: name } = first;
  let task = first;
  let shown = 0;
  let toldEndOf = 0;
  let noted = "";
  while (!context.out.closed) {
    const attempt = options.attempt ?? task.attempt;
    if (attempt > shown) {
      shown = attempt;
      if (task.attempt > 1 && attempt > 1) context.note(`── attempt ${attempt} ──`);
      await followOne(reading, task, attempt);
    } else if (isTerminalTaskState(task.status)) {
      return context.note(shown === 0 ? explainNoLog(task) : describeEnd(task));
    } else {
      const waits = shown === 0 ? explainNoLog(task) : `waiting for attempt ${shown + 1}`;
      if (waits !== noted) context.note(waits);
      noted = waits;
      await delay(waitMs, undefined, { signal });
    }
    task = await outlast(() => api.getTask(job, name, { signal }), signal);
    if (shown !== toldEndOf) noteLostEnd(context, task, shown);
    toldEndOf = shown;
    if (options.attempt !== undefined) return;
  }
}

async function followOne(reading: Reading, { job, task }: Task, attempt: number): Promise<void> {
  const { context, api, options, place, writer, signal } = reading;
  const closed = new AbortController();
  const choice = { attempt, step: options.step, service: options.service };
  const cursor = place.tail === undefined ? await catchUp(reading, { job, task }, choice) : undefined;
  if (context.out.closed) return;
  try {
    await followAttempt(api, {
      job,
      task,
      ...choice,
      cursor,
      tail: place.tail,
      since: place.since,
      signal: AbortSignal.any([signal, closed.signal]),
      isOver: async () => {
        const now = await api.getTask(job, task, { signal });
        return isTerminalTaskState(now.status) || now.attempt > attempt || now.status === "queued";
      },
      onLine: (line) => {
        writer.write(attempt, [line]);
        if (context.out.closed) closed.abort();
      },
      onStatus: (status) => {
        if (status.status === "lost" && context.verbose) context.note(`${status.error.message}; trying again`);
      },
    });
  } catch (error) {
    if (!closed.signal.aborted || signal.aborted) throw error;
  }
}

/**
 * Prints what there is by now as a log that is not followed is printed, for a stream tells line by line; answers where the
 * stream goes on. What goes wrong with it is the stream's to outlast or to tell.
 */
async function catchUp(
  { context, api, place: { since }, writer, signal }: Reading,
  task: { job: string; task: string },
  choice: LogQuery,
): Promise<string | undefined> {
  let cursor: string | undefined;
  try {
    for await (const chunk of readLogChunks(api, { ...task, query: { ...choice, since }, signal })) {
      writer.writeChunk(chunk);
      ({ cursor } = chunk);
      if (context.out.closed) break;
      await context.out.drained();
    }
  } catch (error) {
    if (signal.aborted) throw error;
  }
  return cursor;
}

/** A log that holds nothing; of a service that there is not, the attempt's services are told once it has ended. */
function explainEmpty(task: Task, attempt: number, service: string | undefined): string {
  const logs = task.attempts.find((candidate) => candidate.attempt === attempt)?.logs;
  const services = logs?.flatMap((log) => log.service ?? []);
  if (service !== undefined && services !== undefined && !services.includes(service)) {
    const known = services.length === 0 ? "it has none" : `it has ${services.join(", ")}`;
    return `${oneLine(task.task)} has no service ${service}: ${known}`;
  }
  const writer = `${oneLine(task.task)}${service === undefined ? "" : `'s service ${service}`}`;
  return `${writer} has written nothing${task.status === "running" ? " yet" : ""}`;
}

function explainNoLog(task: Task, hint = ""): string {
  const name = oneLine(task.task);
  if (isTerminalTaskState(task.status)) {
    const because = task.reason ? `: ${explainReason(task.reason)}` : "";
    return `${name} has no log: it ended before it started, ${lookOf(viewTask(task)).label}${because}`;
  }
  return `${name} has not started yet (${task.status}); it has no log so far${hint}`;
}

function describeEnd(task: Task): string {
  const { symbol, label } = lookOf(viewTask(task));
  return `${symbol} ${oneLine(task.task)} ${label}${task.reason ? `: ${explainReason(task.reason)}` : ""}`;
}
