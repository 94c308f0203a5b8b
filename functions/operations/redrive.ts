import type { Redrive } from "../../shared/api/schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { maxAttempts } from "../../shared/domain/timing.ts";
import type { DeadLetterItem } from "../../shared/repository/dead-letters.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { Deps, Pool } from "../deps.ts";
import { endOfJob } from "./claim.ts";
import { dispatchTasks, findPool } from "./dispatch.ts";

/** What to redrive: the dead letters named, or a page of all that a pool has. Nothing changes unless `apply` is set. */
export interface RedriveRequest {
  pool: string;
  ids?: readonly string[] | undefined;
  cursor?: string | undefined;
  apply: boolean;
}

const pageSize = 100;

/** A dead letter that can be redriven with the task that it failed, or why it cannot. */
type Candidate = { letter: DeadLetterItem; task: TaskItem } | { letter: DeadLetterItem; refusal: string };

/**
 * Queues the tasks again that failed because of their dead letters, each with a new message. What a dry run names and
 * what the same call does are decided by the same look at the table; only what moves in between differs.
 */
export async function redriveDeadLetters(deps: Deps, request: RedriveRequest): Promise<Redrive> {
  const pool = findPool(deps, request.pool);
  const { letters, cursor } = request.ids
    ? { letters: await findNamed(deps, pool, request.ids), cursor: undefined }
    : await deps.deadLetters.list({
        pool: pool.name,
        limit: pageSize,
        ...(request.cursor === undefined ? {} : { cursor: request.cursor }),
      });
  const answer: Redrive = {
    pool: pool.name,
    applied: request.apply,
    redriven: [],
    refused: [],
    ...(cursor ? { cursor } : {}),
  };
  const seen = new Set<string>();
  for (const letter of letters) {
    const found = await judgeLetter(deps, letter);
    if ("refusal" in found) {
      answer.refused.push({ id: letter.messageId, detail: found.refusal });
      continue;
    }
    const { task } = found;
    const name = `${task.jobId}/${task.task}`;
    const detail = seen.has(name)
      ? `${name} is redriven by another of its messages`
      : await redrive(deps, pool, found, request.apply);
    seen.add(name);
    if (detail !== undefined) answer.refused.push({ id: letter.messageId, detail });
    else answer.redriven.push({ id: letter.messageId, job: task.jobId, task: task.task });
  }
  return answer;
}

async function findNamed(deps: Deps, pool: Pool, ids: readonly string[]): Promise<DeadLetterItem[]> {
  const letters = await deps.deadLetters.getMany(pool.name, ids);
  const missing = ids.filter((messageId) => !letters.some((letter) => letter.messageId === messageId));
  if (missing.length === 0) return letters;
  throw new AppError("not_found", `pool ${pool.name} has no dead letters ${missing.join(", ")}`);
}

async function judgeLetter(deps: Deps, letter: DeadLetterItem): Promise<Candidate> {
  if (letter.redrivenAt !== undefined) return { letter, refusal: `it was redriven at ${letter.redrivenAt}` };
  if (!letter.task) return { letter, refusal: letter.detail };
  const inputs = await deps.readForClaims([letter.task]);
  const task = inputs.task(letter.task);
  const digest = inputs.digest(letter.task.jobId);
  if (!task || !digest) return { letter, refusal: "its task is gone" };
  const name = `task ${task.jobId}/${task.task}`;
  if (task.state !== "failed" || task.outcome?.reason?.code !== "dead_lettered") {
    return { letter, refusal: `${name} is ${task.state} by now` };
  }
  const cancel = endOfJob(deps, digest);
  if (cancel) return { letter, refusal: `${name} would be ended at once: ${cancel.detail}` };
  if (task.attempt >= maxAttempts) return { letter, refusal: `${name} has had all its ${maxAttempts} attempts` };
  return { letter, task };
}

/** Answers why it was not done after all. Should the message not be sent, the sweep sends it: the task says when. */
async function redrive(
  deps: Deps,
  pool: Pool,
  { letter, task }: Extract<Candidate, { task: TaskItem }>,
  apply: boolean,
): Promise<string | undefined> {
  if (!apply) return undefined;
  const move = await deps.tasks.revive(task, deps.now());
  if (!move.moved) return `task ${task.jobId}/${task.task} has moved at the same moment`;
  await deps.deadLetters.noteRedriven(letter, deps.now());
  await dispatchTasks(pool, [move.task]);
  return undefined;
}
