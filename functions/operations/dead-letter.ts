import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import { type TaskMessage, taskMessageSchema } from "../../shared/domain/task-message.ts";
import { timing } from "../../shared/domain/timing.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { Deps, Pool } from "../deps.ts";
import { outcomeOfCancel } from "./cancel-outcome.ts";
import { endOfJob } from "./claim.ts";
import { dispatchTasks } from "./dispatch.ts";

/** A message from a pool's dead-letter queue. Times in milliseconds since the epoch, by the queue's clock. */
export interface DeadLetter {
  messageId: string;
  body: string;
  receiveCount: number;
  sentAtMs: number;
  firstReceivedAtMs: number;
}

/** What was done about one: `announced` = its task had moved since it was sent, and got a message of its own again. */
export type DeadLetterFate = "unreadable" | "unknown" | "settled" | "announced" | "failed" | "ended";

const raceTries = 10;
/** Workers of a pool that are looked at for the largest, at most. */
const workersRead = 500;
const minRevision = 1;

/**
 * Decides about a message that was received too often, by the table and nothing else. Its task fails where it has waited
 * all along, for then each of those receives was a start that did not come about. A task that somebody has started since
 * waits, runs or ended by what came later, of which this message tells nothing.
 */
export async function settleDeadLetter(deps: Deps, pool: Pool, letter: DeadLetter): Promise<DeadLetterFate> {
  const message = readMessage(letter.body);
  if (!message) {
    await keep(deps, pool, letter, "its body is no message of a task");
    return "unreadable";
  }
  for (let tries = 0; tries < raceTries; tries++) {
    const inputs = await deps.readForClaims([message]);
    const digest = inputs.digest(message.jobId);
    const task = inputs.task(message);
    if (!digest || !task) {
      await keep(deps, pool, letter, `there is no task ${message.jobId}/${message.task}`);
      return "unknown";
    }
    if (task.state !== "queued") return "settled";
    // The task was retried after the job was read: what is known of the job may be what ended it before.
    if ((task.retriedSeq ?? 0) > digest.seq) continue;
    const cancel = endOfJob(deps, digest);
    if (cancel) {
      if ((await deps.tasks.endUnclaimed(task, outcomeOfCancel(cancel), deps.now())).moved) return "ended";
    } else if (task.rev !== (message.rev ?? minRevision)) {
      await dispatchTasks(pool, [task]);
      return "announced";
    } else if (await failTask(deps, pool, letter, task)) return "failed";
  }
  throw new Error(`task ${message.jobId}/${message.task} is changing too fast for its dead letter to be settled`);
}

/** The record goes first: without it a task that has failed for its message could not be told from others. */
async function failTask(deps: Deps, pool: Pool, letter: DeadLetter, task: TaskItem): Promise<boolean> {
  const reason = await explainDeadLetter(deps, pool, letter, task);
  await keep(deps, pool, letter, reason.detail, task);
  return (await deps.tasks.endUnclaimed(task, { state: "failed", reason }, deps.now())).moved;
}

async function explainDeadLetter(deps: Deps, pool: Pool, letter: DeadLetter, task: TaskItem): Promise<Reason> {
  // The receive that brought it here counts too.
  const times = letter.receiveCount > 1 ? `${letter.receiveCount - 1} times` : "too often";
  const what = `its message was received ${times}, and no worker started the task`;
  const { items, more } = await deps.workers.listActive(pool.name, workersRead);
  const live = items.filter(({ lastSeenMs }) => deps.now() - lastSeenMs <= timing.workerSilentMs);
  const largest = Math.max(0, ...live.map(({ slots }) => slots));
  if (live.length === 0 && !more) {
    return reasonFor("dead_lettered", `${what}; no worker of pool ${pool.name} is alive now`);
  }
  if (task.slots <= largest || more) return reasonFor("dead_lettered", what);
  const misfit = `it needs ${task.slots} slots, the largest live worker of pool ${pool.name} has ${largest}`;
  return reasonFor("dead_lettered", `${what}; ${misfit}`);
}

async function keep(deps: Deps, pool: Pool, letter: DeadLetter, detail: string, task?: TaskItem): Promise<void> {
  const { messageId, body, receiveCount, sentAtMs, firstReceivedAtMs } = letter;
  await deps.deadLetters.put({
    messageId,
    pool: pool.name,
    body,
    receiveCount,
    sentAt: new Date(sentAtMs).toISOString(),
    firstReceivedAt: new Date(firstReceivedAtMs).toISOString(),
    recordedAt: new Date(deps.now()).toISOString(),
    detail,
    ...(task ? { task: { jobId: task.jobId, bucket: task.bucket, task: task.task } } : {}),
  });
}

function readMessage(body: string): TaskMessage | undefined {
  try {
    return taskMessageSchema.safeParse(JSON.parse(body)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
