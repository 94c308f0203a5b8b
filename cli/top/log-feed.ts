import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import type { Task } from "../../shared/api/schemas.ts";
import { sleep } from "../../shared/api-client/backoff.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { explainError } from "../errors.ts";
import { followAttempt } from "../logs/follow-attempt.ts";
import { outlast } from "../logs/outlast.ts";
import { Contact, watchPatience } from "./contact.ts";
import { LogBuffer } from "./log-buffer.ts";

/** Lines that are read at the beginning, and each time somebody goes before the first. */
const firstLines = 2_000;
const earlierLines = 1_000;
/** How often a task that has not started yet, and one that has ended (it may be run again), is looked at. */
const waitMs = 1_000;
const endedLookMs = 10_000;

/** Where the log of a task stands: `failed` = it cannot be read, see `failure`. */
export type LogState = "loading" | "waiting" | "following" | "ended" | "failed";

/** Where a log begins, as far as it is here. */
type LogStart = NonNullable<LogBuffer["first"]>;

/** Lines of one attempt, in order. */
interface LogPart {
  attempt: number;
  lines: readonly ApiLogLine[];
}

function splitBySteps(lines: readonly ApiLogLine[]): ApiLogLine[][] {
  const parts: ApiLogLine[][] = [];
  for (const line of lines) {
    const last = parts.at(-1);
    if (last && last[0]?.step === line.step) last.push(line);
    else parts.push([line]);
  }
  return parts;
}

/** What a log is followed with. */
export interface LogFeedOptions {
  api: ApiClient;
  job: string;
  task: string;
  /** Whose log it is instead of that of the steps. */
  service?: string | undefined;
  now(): number;
  onChange(): void;
}

/** The log of a task, its newest attempt first from near its end and then as it comes; further attempts follow it. */
export class LogFeed {
  readonly #options: LogFeedOptions;
  readonly #run = new AbortController();
  readonly contact: Contact;
  readonly buffer = new LogBuffer();
  state: LogState = "loading";
  failure = "";
  /** As it was looked at last. */
  task: Task | undefined;
  #wake: (() => void) | undefined;
  #isReadingEarlier = false;
  /** Nothing is before the first line. */
  #isWhole = false;

  constructor(options: LogFeedOptions) {
    this.#options = options;
    this.contact = new Contact(options.now);
    this.#follow(this.#run.signal).catch((error: unknown) => this.#fail(error));
  }

  close(): void {
    this.#run.abort();
  }

  /** Looks at the task at once, such as after somebody had it run again. */
  lookAgain(): void {
    this.#wake?.();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { api, job, task: name } = this.#options;
    for (let shown = 0; ; ) {
      const task = await outlast(() => api.getTask(job, name, { signal }), signal, watchPatience.giveUpAfterMs);
      this.task = task;
      if (task.attempt > shown) {
        shown = task.attempt;
        this.#set("following");
        await this.#followAttempt(shown, signal);
        continue;
      }
      const hasEnded = isTerminalTaskState(task.status);
      this.#set(hasEnded ? "ended" : "waiting");
      await this.#pause(hasEnded ? endedLookMs : waitMs, signal);
    }
  }

  async #followAttempt(attempt: number, signal: AbortSignal): Promise<void> {
    const { api, job, task, service, onChange } = this.#options;
    await followAttempt(api, {
      job,
      task,
      attempt,
      service,
      signal,
      tail: firstLines,
      patience: watchPatience,
      onStatus: this.contact.note,
      isOver: async () => {
        const now = await api.getTask(job, task, { signal });
        return isTerminalTaskState(now.status) || now.attempt > attempt || now.status === "queued";
      },
      onLine: (line) => {
        this.buffer.push(attempt, line);
        onChange();
      },
    });
  }

  /** Reads what is before the first line, where there is anything and room for it. */
  readEarlier(): void {
    const { first, isFull } = this.buffer;
    if (this.#isReadingEarlier || this.#isWhole || isFull || first === undefined) return;
    this.#isReadingEarlier = true;
    this.#readBefore(first, this.#run.signal).then(
      (earlier) => this.#takeEarlier(first, earlier),
      (error: unknown) => {
        this.#isReadingEarlier = false;
        if (this.#run.signal.aborted) return;
        // What is there stays; the next try may do better.
        this.failure = explainError(error).message;
        this.#options.onChange();
      },
    );
  }

  #takeEarlier(place: LogStart, { attempt, lines }: LogPart): void {
    this.#isReadingEarlier = false;
    this.failure = "";
    const { first } = this.buffer;
    // Had the first lines been given up meanwhile, there would be a gap.
    const isStillFirst = first?.attempt === place.attempt && first.step === place.step && first.line === place.line;
    if (isStillFirst) {
      this.#isWhole = lines.length === 0;
      for (const part of splitBySteps(lines).toReversed()) this.buffer.unshift(attempt, part);
    }
    this.#options.onChange();
  }

  /** Lines before a place: of its own log, else of the nearest before it that has any, those of earlier attempts too. */
  async #readBefore({ attempt, step = 1, line }: LogStart, signal: AbortSignal): Promise<LogPart> {
    if (line > 0) return { attempt, lines: await this.#readLinesBefore({ attempt, step, line }, signal) };
    const { api, job, task, service } = this.#options;
    const steps = Array.from({ length: step - 1 }, (_, index) => ({ attempt, step: step - 1 - index }));
    const attempts = Array.from({ length: attempt - 1 }, (_, index) => ({ attempt: attempt - 1 - index, service }));
    for (const place of [...steps, ...attempts]) {
      const { lines } = await api.readLog(job, task, { ...place, tail: earlierLines }, { signal });
      if (lines.length > 0) return { attempt: place.attempt, lines };
    }
    return { attempt, lines: [] };
  }

  async #readLinesBefore(
    { attempt, step, line }: { attempt: number; step: number; line: number },
    signal: AbortSignal,
  ): Promise<ApiLogLine[]> {
    const { api, job, task, service } = this.#options;
    const choice = service === undefined ? { attempt, step } : { attempt, service };
    const lines = `${Math.max(0, line - earlierLines)}-${line - 1}`;
    const read: ApiLogLine[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await api.readLog(job, task, { ...choice, lines, cursor }, { signal });
      read.push(...page.lines);
      const last = page.lines.at(-1);
      if (last === undefined || last.line >= line - 1 || page.cursor === cursor) return read;
      cursor = page.cursor;
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const rest = new AbortController();
    try {
      await Promise.race([woken, sleep(ms, AbortSignal.any([signal, rest.signal]))]);
    } finally {
      rest.abort();
    }
  }

  #set(state: LogState): void {
    this.state = state;
    this.#options.onChange();
  }

  #fail(error: unknown): void {
    if (this.#run.signal.aborted) return;
    this.failure = explainError(error).message;
    this.#set("failed");
  }
}
