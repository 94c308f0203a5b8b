import { setTimeout as sleep } from "node:timers/promises";
import type { UnsequencedEvent } from "../../events/index.ts";
import { type CountableMove, type FoldEffect, foldMoves, orderMoves } from "../domain/fold.ts";
import { isTerminalJobState } from "../domain/job-state.ts";
import { isTerminalTaskState } from "../domain/task-state.ts";
import { bumpAdvance } from "./advance-chore.ts";
import { digestDue, putChore } from "./digest-items.ts";
import { eventPageBytes, putEventPages, sequenceEvents } from "./events.ts";
import type { JobDigest, TaskItem, TaskTransition } from "./items.ts";
import { activeJobEntry, digestKey, taskKey } from "./keys.ts";
import {
  getItems,
  maxTransactionBytes,
  maxTransactionItems,
  type Table,
  type TransactItems,
  writeTransaction,
} from "./table.ts";

/** Pages of events one transaction of several tasks needs at most, see `takeBatch`. */
const pagesPerFold = 3;
/** Tasks counted in one transaction: it also writes the digest, pages of events and perhaps two chores. */
const tasksPerFold = maxTransactionItems - 3 - pagesPerFold;
/** JSON bytes that an event has beside what its move has in the outbox: type, version, sequence number, names. */
const eventFrameBytes = 90;
const foldTries = 20;
const longestPauseMs = 200;

/**
 * Counts what tasks did into their job's digest: one transaction marks the tasks' moves as counted, moves the
 * counters, appends the events with the next sequence numbers, and stamps the outcome with the last of them.
 */
export interface FoldRepository {
  /** Folds the moves seen in these images of one job's tasks. Images that are out of date are left to a later one. */
  foldTasks(jobId: string, images: readonly TaskItem[]): Promise<void>;
}

interface Move extends CountableMove, TaskTransition {
  task: string;
  at: string;
  reason?: TaskTransition["reason"];
}

/**
 * The digests this process wrote last are remembered: while it stays the only writer of a digest it need not read it
 * again. A wrong memory is harmless, the transaction's condition on `seq` catches it.
 */
export function createFoldRepository(table: Table): FoldRepository {
  const remembered = new Map<string, JobDigest>();
  return {
    async foldTasks(jobId, images) {
      let pending = newestImages(images).filter((image) => image.outbox && image.outbox.length > 0);
      let lostRaces = 0;
      while (pending.length > 0) {
        const digest = remembered.get(jobId) ?? (await readDigest(table, jobId));
        if (digest === undefined) return;
        const batch = takeBatch(pending);
        const folded = await writeFold(table, digest, batch);
        if (folded.ok) {
          remember(remembered, folded.digest);
          pending = pending.slice(batch.length);
          continue;
        }
        const trusted = !folded.digestMoved || !remembered.delete(jobId);
        pending = pending.filter((image) => !folded.stale.has(image));
        // Another writer of this digest was faster, not just this process's memory of it old: let it be done.
        if (folded.stale.size > 0 || !trusted) continue;
        lostRaces += 1;
        if (lostRaces > foldTries) throw new Error(`the digest of ${jobId} changed under ${lostRaces} folds in a row`);
        await sleep(Math.random() * Math.min(longestPauseMs, 2 ** lostRaces));
      }
    },
  };
}

/** One image of each task: a transaction takes no item twice, and the newest holds all that is not counted. */
function newestImages(images: readonly TaskItem[]): TaskItem[] {
  const newest = new Map<string, TaskItem>();
  for (const image of images) {
    const seen = newest.get(image.task);
    if (!seen || image.rev > seen.rev) newest.set(image.task, image);
  }
  return [...newest.values()];
}

async function readDigest(table: Table, jobId: string): Promise<JobDigest | undefined> {
  const [item] = await getItems(table, [digestKey(jobId)]);
  return item as JobDigest | undefined;
}

function remember(remembered: Map<string, JobDigest>, digest: JobDigest): void {
  remembered.delete(digest.jobId);
  if (!isTerminalJobState(digest.state)) remembered.set(digest.jobId, digest);
  if (remembered.size > 1000) remembered.delete(remembered.keys().next().value ?? "");
}

/** As many images as one transaction and its pages of events have room for, at least one. */
function takeBatch(images: readonly TaskItem[]): TaskItem[] {
  let bytes = 0;
  let itemBytes = 0;
  const batch: TaskItem[] = [];
  for (const image of images.slice(0, tasksPerFold)) {
    const frame = eventFrameBytes + image.jobId.length + image.task.length;
    bytes += Buffer.byteLength(JSON.stringify(image.outbox)) + (image.outbox?.length ?? 0) * frame;
    // One page less than there may be: pages are cut between events, so none is quite full.
    if (batch.length > 0 && bytes > (pagesPerFold - 1) * eventPageBytes) break;
    itemBytes += Buffer.byteLength(JSON.stringify(image));
    if (batch.length > 0 && itemBytes > maxTransactionBytes - pagesPerFold * eventPageBytes) break;
    batch.push(image);
  }
  return batch;
}

/** Counted, or what stood in the way: images that are out of date, a digest that another writer has moved. */
type FoldOutcome = { ok: true; digest: JobDigest } | { ok: false; stale: ReadonlySet<TaskItem>; digestMoved: boolean };

async function writeFold(table: Table, digest: JobDigest, batch: readonly TaskItem[]): Promise<FoldOutcome> {
  const moves = orderMoves(
    batch.map((image) => (image.outbox ?? []).map((move): Move => ({ ...move, task: image.task }))),
  );
  const { digest: counted, effects } = foldMoves(digest, moves);
  const events = sequenceEvents(digest.jobId, digest.seq, effects.flatMap(toEvents));
  const abort = effects.find((effect) => effect.kind === "abort");
  const next: JobDigest = {
    ...counted,
    seq: digest.seq + events.length,
    ...(abort ? { cancel: { cause: "abort_policy", detail: abort.detail, at: abort.at } } : {}),
  };
  const items: TransactItems = [
    ...batch.map((image) => markFolded(table, image)),
    updateDigest(table, digest, next),
    ...putEventPages(table, digest.jobId, events),
    ...(abort ? [putChore(table, { jobId: digest.jobId, kind: "cancel", cursor: "" }, Date.parse(abort.at))] : []),
    ...(movesGraph(next, moves) ? [bumpAdvance(table, digest.jobId, Date.parse(moves.at(-1)?.at ?? ""))] : []),
  ];
  const outcome = await writeTransaction(table, items);
  if (outcome.ok) return { ok: true, digest: next };
  const { failedConditions } = outcome;
  const stale = new Set(failedConditions.flatMap((index) => batch[index] ?? []));
  return { ok: false, stale, digestMoved: failedConditions.some((index) => index >= batch.length) };
}

/**
 * Tasks may wait for those that ended here. Those that wait again, after a retry, may have missed an end that was
 * counted before them, while nothing seemed to wait.
 */
function movesGraph(next: JobDigest, moves: readonly Move[]): boolean {
  if (!next.graph || next.counts.pending === 0) return false;
  return moves.some(({ to }) => isTerminalTaskState(to) || to === "pending");
}

/** Only what the fold moves is written: whether messages were sent is noted by others meanwhile. */
function updateDigest(table: Table, seen: JobDigest, next: JobDigest): TransactItems[number] {
  const ended = isTerminalJobState(next.state);
  const allClaimed = next.counts.queued + next.counts.pending === 0;
  const set = {
    counts: next.counts,
    seq: next.seq,
    state: next.state,
    startedAt: next.startedAt,
    endedAt: next.endedAt,
    cancel: next.cancel,
    reasons: next.reasons,
    // Each time, not only when a retry reopens the job: that also lists jobs which are older than this index.
    ...(ended ? {} : activeJobEntry(next.pool, next.jobId)),
    ...(isTerminalJobState(seen.state) && !ended ? digestDue(next) : {}),
  };
  const present = Object.entries(set).filter(([, value]) => value !== undefined);
  const remove = [
    ...(next.endedAt === undefined ? ["#endedAt"] : []),
    ...(allClaimed ? ["dispatchPending"] : []),
    ...(ended ? ["duePk", "dueAt", "activePk", "activeSk"] : []),
  ];
  return {
    Update: {
      TableName: table.name,
      Key: digestKey(next.jobId),
      UpdateExpression: [
        `SET ${present.map(([name]) => `#${name} = :${name}`).join(", ")}`,
        ...(remove.length > 0 ? [`REMOVE ${remove.join(", ")}`] : []),
      ].join(" "),
      ConditionExpression: "#seq = :seen",
      ExpressionAttributeNames: {
        ...Object.fromEntries(present.map(([name]) => [`#${name}`, name])),
        ...(next.endedAt === undefined ? { "#endedAt": "endedAt" } : {}),
      },
      ExpressionAttributeValues: {
        ...Object.fromEntries(present.map(([name, value]) => [`:${name}`, value])),
        ":seen": seen.seq,
      },
    },
  };
}

/** Counted: on the condition that the task has not moved since, so that nothing uncounted is ever thrown away. */
function markFolded(table: Table, image: TaskItem): TransactItems[number] {
  const stillDue = image.state === "running" || image.announce !== undefined;
  return {
    Update: {
      TableName: table.name,
      Key: taskKey(image.jobId, image.bucket, image.task),
      UpdateExpression: `SET foldedRev = :rev REMOVE outbox, unfolded${stillDue ? "" : ", duePk, dueAt"}`,
      ConditionExpression: "#rev = :rev AND foldedRev = :foldedRev",
      ExpressionAttributeNames: { "#rev": "rev" },
      ExpressionAttributeValues: { ":rev": image.rev, ":foldedRev": image.foldedRev },
    },
  };
}

function toEvents(effect: FoldEffect<Move>): UnsequencedEvent[] {
  switch (effect.kind) {
    case "moved":
      return [{ type: "task.transition", ...effect.move }];
    case "started":
      return [{ type: "job.started", at: effect.at }];
    case "abort":
      return [{ type: "job.cancel_requested", at: effect.at, cause: "abort_policy", detail: effect.detail }];
    case "ended":
      return [{ type: "job.ended", at: effect.at, state: effect.state, counts: effect.counts }];
  }
}
