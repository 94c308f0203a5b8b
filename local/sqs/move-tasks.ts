import { randomUUID } from "node:crypto";
import type { Clock } from "./clock.ts";
import { SqsError } from "./errors.ts";
import type { MessageDesk } from "./message-desk.ts";
import type { Queue } from "./queue.ts";
import { parseQueueArn } from "./queue-attributes.ts";
import type { QueueRegistry } from "./queue-registry.ts";
import type { SqsStore } from "./store.ts";

/** One redrive of a dead-letter queue, as it is stored. RUNNING is the only state that changes, and it survives a restart. */
export type MoveTask = {
  readonly taskId: string;
  readonly sourceArn: string;
  /** Undefined: each message goes back to the queue it came from. */
  readonly destinationArn?: string | undefined;
  readonly maxMessagesPerSecond?: number | undefined;
  readonly messagesToMove: number;
  readonly startedAtMs: number;
  readonly status: "RUNNING" | "COMPLETED" | "CANCELLED" | "FAILED";
  readonly messagesMoved: number;
  readonly failureReason?: string | undefined;
};

const MAX_RATE = 500;
const KEPT_TASKS_PER_SOURCE = 10;
/** Without a rate: so many at a time, with a pause in which other requests are served. */
const STEP_MESSAGES = 50;
const STEP_MS = 5;
const RATE_STEP_MS = 100;

/** Moves the messages of dead-letter queues back, in the background. */
export class MoveTasks {
  readonly #store: SqsStore;
  readonly #registry: QueueRegistry;
  readonly #desk: MessageDesk;
  readonly #clock: Clock;
  readonly #guard: (work: () => void) => void;
  /** By task id, oldest first. */
  #tasks = new Map<string, MoveTask>();
  readonly #cancelTimers = new Map<string, () => void>();

  /** `guard` runs what a timer starts and deals with its failures. */
  constructor(
    parts: { store: SqsStore; registry: QueueRegistry; desk: MessageDesk; clock: Clock },
    guard: (work: () => void) => void,
  ) {
    this.#store = parts.store;
    this.#registry = parts.registry;
    this.#desk = parts.desk;
    this.#clock = parts.clock;
    this.#guard = guard;
  }

  /** Reads the tasks from disk and goes on with those that run. */
  load(): void {
    this.close();
    const tasks = this.#store.loadMoveTasks().map((text): MoveTask => JSON.parse(text));
    this.#tasks = new Map(tasks.map((task) => [task.taskId, task]));
    for (const task of tasks) if (task.status === "RUNNING") this.#scheduleStep(task, 0);
  }

  close(): void {
    for (const cancelTimer of this.#cancelTimers.values()) cancelTimer();
    this.#cancelTimers.clear();
  }

  /** Starts to move what is visible in a dead-letter queue; answers the handle of the task. */
  start(sourceArn: string, destinationArn: string | undefined, maxMessagesPerSecond: number | undefined): string {
    const source = this.#requireSource(sourceArn);
    const destination = destinationArn === undefined ? undefined : this.#registry.findByArn(destinationArn);
    if (destinationArn !== undefined && destination === undefined) {
      throw notFound("The resource that you specified for the DestinationArn parameter doesn't exist.");
    }
    if (this.#registry.listDeadLetterSources(source).length === 0) {
      throw invalid("Source queue must be configured as a Dead Letter Queue.");
    }
    if (destination !== undefined && destination.settings.isFifo !== source.settings.isFifo) {
      throw invalid("Source and destination queues must be of the same type.");
    }
    if (maxMessagesPerSecond !== undefined && (maxMessagesPerSecond < 1 || maxMessagesPerSecond > MAX_RATE)) {
      throw invalid(`Value for parameter MaxNumberOfMessagesPerSecond is invalid. Must be between 1 and ${MAX_RATE}.`);
    }
    if (this.#listOf(sourceArn).some((task) => task.status === "RUNNING")) {
      throw invalid(
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
      );
    }
    source.releaseDue();
    const task: MoveTask = {
      taskId: randomUUID(),
      sourceArn,
      destinationArn,
      maxMessagesPerSecond,
      messagesToMove: source.counts.ready,
      startedAtMs: this.#clock.now(),
      status: "RUNNING",
      messagesMoved: 0,
    };
    this.#save(task);
    this.#dropOldTasks(sourceArn);
    this.#scheduleStep(task, 0);
    return encodeTaskHandle(task);
  }

  /** The latest tasks of a source, newest first; the handle is there while the task runs. */
  list(sourceArn: string, maxResults: number): { task: MoveTask; handle: string | undefined }[] {
    this.#requireSource(sourceArn);
    return this.#listOf(sourceArn)
      .reverse()
      .slice(0, maxResults)
      .map((task) => ({ task, handle: task.status === "RUNNING" ? encodeTaskHandle(task) : undefined }));
  }

  /** Stops a running task; answers how many messages it has moved. */
  cancel(taskHandle: string): number {
    const { taskId, sourceArn } = decodeTaskHandle(taskHandle);
    this.#requireSource(sourceArn);
    const task = this.#tasks.get(taskId);
    if (task === undefined) throw notFound("Task does not exist.");
    if (task.status !== "RUNNING") throw invalid("Only active tasks can be cancelled.");
    this.#save({ ...task, status: "CANCELLED" });
    this.#cancelTimers.get(taskId)?.();
    this.#cancelTimers.delete(taskId);
    return task.messagesMoved;
  }

  /** Forgets the tasks of a deleted queue. */
  forget(sourceArn: string): void {
    for (const { taskId } of this.#listOf(sourceArn)) {
      this.#cancelTimers.get(taskId)?.();
      this.#cancelTimers.delete(taskId);
      this.#tasks.delete(taskId);
    }
  }

  #scheduleStep(task: MoveTask, delayMs: number): void {
    const cancel = this.#clock.startTimer(() => {
      this.#cancelTimers.delete(task.taskId);
      this.#guard(() => this.#runStep(task.taskId));
    }, delayMs);
    this.#cancelTimers.set(task.taskId, cancel);
  }

  #runStep(taskId: string): void {
    const task = this.#tasks.get(taskId);
    const source = task === undefined ? undefined : this.#registry.findByArn(task.sourceArn);
    if (task?.status !== "RUNNING" || source === undefined) return;
    const { quota, pauseMs } = planStep(task.maxMessagesPerSecond);
    const moved = this.#moveSome(task, source, quota);
    const messagesMoved = task.messagesMoved + moved.count;
    const isDone = moved.count < quota;
    const next: MoveTask =
      moved.failureReason === undefined
        ? { ...task, messagesMoved, status: isDone ? "COMPLETED" : "RUNNING" }
        : { ...task, messagesMoved, status: "FAILED", failureReason: moved.failureReason };
    this.#save(next);
    this.#desk.wakePolls();
    if (next.status === "RUNNING") this.#scheduleStep(next, pauseMs);
  }

  #moveSome(task: MoveTask, source: Queue, quota: number): { count: number; failureReason?: string } {
    source.releaseDue();
    const cursor = source.openCursor();
    let count = 0;
    while (count < quota) {
      const message = cursor.next();
      if (message === undefined) break;
      if (source.isExpired(message)) {
        this.#desk.discard(source, message);
        continue;
      }
      const targetArn = task.destinationArn ?? this.#desk.readDeadLetterSource(message);
      if (targetArn === undefined) return { count, failureReason: "CouldNotDetermineMessageSource" };
      const target = this.#registry.findByArn(targetArn);
      if (target === undefined) return { count, failureReason: "AWS.SimpleQueueService.NonExistentQueue" };
      this.#desk.redrive(source, message, target);
      count += 1;
    }
    return { count };
  }

  #save(task: MoveTask): void {
    this.#store.saveMoveTask(task);
    this.#tasks.set(task.taskId, task);
  }

  #dropOldTasks(sourceArn: string): void {
    for (const { taskId } of this.#listOf(sourceArn).slice(0, -KEPT_TASKS_PER_SOURCE)) {
      this.#store.deleteMoveTask(taskId);
      this.#tasks.delete(taskId);
    }
  }

  #listOf(sourceArn: string): MoveTask[] {
    return [...this.#tasks.values()].filter((task) => task.sourceArn === sourceArn);
  }

  #requireSource(sourceArn: string): Queue {
    if (parseQueueArn(sourceArn) === undefined) {
      throw invalid(
        "You must use this format to specify the SourceArn: arn:<partition>:<service>:<region>:<account-id>:<resource-id>",
      );
    }
    const source = this.#registry.findByArn(sourceArn);
    if (source === undefined) {
      throw notFound("The resource that you specified for the SourceArn parameter doesn't exist.");
    }
    return source;
  }
}

/** How many messages the next step moves, and how long it then rests: a low rate moves one at a time. */
function planStep(maxMessagesPerSecond: number | undefined): { quota: number; pauseMs: number } {
  if (maxMessagesPerSecond === undefined) return { quota: STEP_MESSAGES, pauseMs: STEP_MS };
  const quota = Math.max(1, Math.floor((maxMessagesPerSecond * RATE_STEP_MS) / 1_000));
  return { quota, pauseMs: (quota * 1_000) / maxMessagesPerSecond };
}

function encodeTaskHandle(task: MoveTask): string {
  return Buffer.from(JSON.stringify({ taskId: task.taskId, sourceArn: task.sourceArn })).toString("base64");
}

function decodeTaskHandle(handle: string): { taskId: string; sourceArn: string } {
  try {
    const { taskId, sourceArn } = JSON.parse(Buffer.from(handle, "base64").toString("utf8"));
    if (typeof taskId === "string" && typeof sourceArn === "string") return { taskId, sourceArn };
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
  }
  throw invalid("Value for parameter TaskHandle is invalid.");
}

function invalid(message: string): SqsError {
  return new SqsError("InvalidParameterValueException", message);
}

function notFound(message: string): SqsError {
  return new SqsError("ResourceNotFoundException", message);
}
