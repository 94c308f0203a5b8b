import type { Redrive } from "../../shared/api/schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import type { DeadLetterItem } from "../../shared/repository/dead-letters.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { Deps, Pool } from "../deps.ts";
import { findPool } from "./dispatch.ts";
import { planRetry, retryTasks } from "./retry.ts";

/** What to redrive: the dead letters named, or a page of all that a pool has. Nothing changes unless `apply` is set. */
export interface RedriveRequest {
  pool: string;
  ids?: readonly string[] | undefined;
  cursor?: string | undefined;
  apply: boolean;
  by: string;
}

const pageSize = 100;

/** A dead letter with the task that failed for it. */
interface Candidate {
  letter: DeadLetterItem;
  task: TaskItem;
}

type Refusal = Redrive["refused"][number];

/**
 * Retries the tasks that failed because of their dead letters. What a dry run names and what the same call does are
 * decided by the same look at the table; only what moves in between differs.
 */
export async function redriveDeadLetters(deps: Deps, request: RedriveRequest): Promise<Redrive> {
  const pool = findPool(deps, request.pool);
  const { letters, cursor } = await readLetters(deps, pool, request);
  const answer: Redrive = { pool: pool.name, applied: request.apply, redriven: [], refused: [] };
  const candidates = new Map<string, Candidate>();
  for (const letter of letters) {
    const judged = await judgeLetter(deps, letter);
    const name = "task" in judged ? `${judged.task.jobId}/${judged.task.task}` : "";
    if (!("task" in judged)) answer.refused.push(judged);
    else if (candidates.has(name))
      answer.refused.push(refuse(letter, `${name} is redriven by another of its messages`));
    else candidates.set(name, judged);
  }
  for (const [, ofJob] of Map.groupBy(candidates.values(), ({ task }) => task.jobId)) {
    const { redriven, refused } = await redriveJob(deps, ofJob, request);
    answer.redriven.push(
      ...redriven.map(({ letter, task }) => ({ id: letter.messageId, job: task.jobId, task: task.task })),
    );
    answer.refused.push(...refused);
  }
  return cursor === undefined ? answer : { ...answer, cursor };
}

async function readLetters(
  deps: Deps,
  pool: Pool,
  { ids, cursor }: RedriveRequest,
): Promise<{ letters: DeadLetterItem[]; cursor?: string }> {
  if (!ids) return deps.deadLetters.list({ pool: pool.name, limit: pageSize, cursor });
  const letters = await deps.deadLetters.getMany(pool.name, ids);
  const missing = ids.filter((messageId) => !letters.some((letter) => letter.messageId === messageId));
  if (missing.length === 0) return { letters };
  throw new AppError("not_found", `pool ${pool.name} has no dead letters ${missing.join(", ")}`);
}

async function judgeLetter(deps: Deps, letter: DeadLetterItem): Promise<Candidate | Refusal> {
  if (letter.redrivenAt !== undefined) return refuse(letter, `it was redriven at ${letter.redrivenAt}`);
  if (!letter.task) return refuse(letter, letter.detail);
  const { jobId, bucket, task: name } = letter.task;
  const task = await deps.tasks.get(jobId, bucket, name);
  if (!task) return refuse(letter, "its task is gone");
  if (task.state === "failed" && task.outcome?.reason?.code === "dead_lettered") return { letter, task };
  return refuse(letter, `task ${jobId}/${name} is ${task.state} by now`);
}

/** All of a job in one retry or, where that is refused for one of them, each for itself. */
async function redriveJob(
  deps: Deps,
  candidates: readonly Candidate[],
  request: RedriveRequest,
): Promise<{ redriven: Candidate[]; refused: Refusal[] }> {
  const [first] = candidates;
  if (!first) return { redriven: [], refused: [] };
  try {
    const wish = { jobId: first.task.jobId, by: request.by, tasks: candidates.map(({ task }) => task.task) };
    const { tasks } = request.apply ? await retryTasks(deps, wish) : await planRetry(deps, wish);
    const redriven = candidates.filter(({ task }) => tasks.includes(task.task));
    if (request.apply) for (const { letter } of redriven) await deps.deadLetters.noteRedriven(letter, deps.now());
    const rest = candidates.filter((candidate) => !redriven.includes(candidate));
    return { redriven, refused: rest.map(({ letter }) => refuse(letter, "its task moved at the same moment")) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (candidates.length === 1) return { redriven: [], refused: [refuse(first.letter, error.message)] };
    const redriven: Candidate[] = [];
    const refused: Refusal[] = [];
    for (const candidate of candidates) {
      const single = await redriveJob(deps, [candidate], request);
      redriven.push(...single.redriven);
      refused.push(...single.refused);
    }
    return { redriven, refused };
  }
}

function refuse(letter: DeadLetterItem, detail: string): Refusal {
  return { id: letter.messageId, detail };
}
