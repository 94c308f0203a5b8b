import { type Announcement, firstAnnouncement } from "../domain/announcement.ts";
import { findCrowdedOut } from "../domain/attempt-room.ts";
import type { AttemptKey } from "../domain/ids.ts";
import type { Artifact, AttemptOutcome, LogSummary, StepResult } from "../domain/manifest.ts";
import type { Footprint } from "../domain/metric-sample.ts";
import type { Reason } from "../domain/reason.ts";
import { terminalTaskStates } from "../domain/task-state.ts";
import { timing } from "../domain/timing.ts";
import type { AttemptRecord, CancelRequest, RescueEvidence, TaskItem, TaskTransition } from "./items.ts";
import { dueValues, itemKeyOf, moveTask, type TaskAddress, type TaskMove, toMove } from "./move-task.ts";
import { type Table, updateItem } from "./table.ts";

/** What an attempt leaves. */
export interface AttemptLeft {
  steps: StepResult[];
  logs: LogSummary[];
  artifacts: Artifact[];
  footprint?: Footprint | undefined;
}

/** What an attempt that ended brings along. */
export interface AttemptEnd extends AttemptLeft {
  outcome: AttemptOutcome;
  /** Where its worker did not report it. */
  rescue?: RescueEvidence;
}

/** A claim of a task. Where it follows an attempt that was lost, `loss` says how that was seen. */
export interface TaskClaim {
  workerId: string;
  leaseToken: string;
  timeoutMs: number;
  nowMs: number;
  loss?: Loss;
}

/** An attempt that was taken from its worker with nothing to show for it. */
export interface Loss {
  reason: Reason;
  rescue: RescueEvidence;
}

/** How a task ends that no worker holds. */
export interface UnclaimedEnd {
  state: "aborted" | "timed_out" | "failed" | "skipped";
  reason: Reason;
}

/**
 * By what a caller may end an attempt or take it back: the token of its lease. Whoever takes it from its worker also
 * names the time the lease was seen to run out at, so that a worker that renewed it since keeps it.
 */
export interface LeaseProof {
  token: string;
  seenUntilMs?: number;
}

export async function claimTask(
  table: Table,
  task: TaskItem,
  { workerId, leaseToken, timeoutMs, nowMs, loss }: TaskClaim,
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const attempt = task.attempt + 1;
  const lost = task.state === "running" ? lostTransition(task, at, loss) : undefined;
  const started: TaskTransition = { at, from: "queued", to: "running", attempt, workerId };
  const waitedMs = lost ? 0 : Math.max(0, nowMs - Date.parse(task.queuedAt ?? task.createdAt));
  const record: AttemptRecord = { workerId, leaseToken, claimedAt: at, waitedMs };
  const lease: TaskItem["lease"] = { token: leaseToken, workerId, untilMs: nowMs + timing.leaseMs, timeoutMs };
  const lostRecord = `attempts[${task.attempt - 1}]`;
  return moveTask(table, task, {
    transitions: lost ? [lost, started] : [started],
    nowMs,
    condition: "#rev = :rev AND (#state = :queued OR (#state = :running AND #lease.untilMs = :seenUntil))",
    set: [
      "attempt = :attempt, #lease = :lease, startedAt = if_not_exists(startedAt, :at)",
      // By its place, right behind the last: an update may not name a list and an element of it.
      `attempts[${task.attempt}] = :record`,
      ...(lost ? [`${lostRecord}.endedAt = :at, ${lostRecord}.outcome = :lost, ${lostRecord}.rescue = :rescue`] : []),
      ...(lost ? ["infrastructureFailures = infrastructureFailures + :one"] : []),
    ],
    remove: ["announce"],
    names: { "#lease": "lease" },
    values: {
      ":running": "running",
      ":queued": "queued",
      ":rev": task.rev,
      ":seenUntil": task.lease?.untilMs ?? 0,
      ":attempt": attempt,
      ":lease": lease,
      ":record": record,
      ":at": at,
      ...(lost ? { ":one": 1, ":lost": { reason: lost.reason }, ":rescue": loss?.rescue } : {}),
    },
  });
}

function lostTransition(task: TaskItem, at: string, loss: Loss | undefined): TaskTransition {
  if (!loss || !task.lease) throw new Error(`task ${task.jobId}/${task.task} is held and was not found lost`);
  const { workerId } = task.lease;
  return { at, from: "running", to: "queued", attempt: task.attempt, workerId, reason: loss.reason };
}

export async function renewLease(table: Table, key: AttemptKey, token: string, nowMs: number): Promise<TaskMove> {
  return toMove(
    await updateItem(table, {
      Key: itemKeyOf(key),
      // When the sweep looks at the task stays as it is: it may have to count its moves, however well its worker is.
      UpdateExpression: "SET lease.untilMs = :until",
      ConditionExpression: "lease.#token = :token",
      ExpressionAttributeNames: { "#token": "token" },
      ExpressionAttributeValues: { ":until": nowMs + timing.leaseMs, ":token": token },
    }),
  );
}

export async function endAttempt(
  table: Table,
  key: AttemptKey,
  proof: LeaseProof,
  end: AttemptEnd,
  nowMs: number,
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const { state, exitCode, warning, reason } = end.outcome;
  const artifacts = end.artifacts.map(({ name, size }) => ({ name, size }));
  const move: TaskTransition = {
    at,
    from: "running",
    to: state,
    attempt: key.attempt,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(warning === undefined ? {} : { warning }),
    ...(reason === undefined ? {} : { reason }),
    ...(artifacts.length === 0 ? {} : { artifacts }),
  };
  const record = `attempts[${key.attempt - 1}]`;
  const held = holdsLease(key, proof);
  return moveTask(table, key, {
    transitions: [move],
    nowMs,
    condition: held.condition,
    set: [
      `endedAt = :at, outcome = :outcome, ${record}.endedAt = :at, ${record}.outcome = :outcome`,
      `${record}.steps = :steps, ${record}.logs = :logs, ${record}.artifacts = :artifacts`,
      ...(end.footprint ? [`${record}.footprint = :footprint`] : []),
      ...(end.rescue ? [`${record}.rescue = :rescue`] : []),
    ],
    remove: ["lease", "cancel"],
    names: held.names,
    values: {
      ":at": at,
      ":outcome": end.outcome,
      ":steps": end.steps,
      ":logs": end.logs,
      ":artifacts": end.artifacts,
      ...(end.footprint ? { ":footprint": end.footprint } : {}),
      ...(end.rescue ? { ":rescue": end.rescue } : {}),
      ...held.values,
    },
  });
}

/** How a task goes back to `queued`. `counted`: whose failure it was, each is tried only so often. */
export interface Requeue {
  reason: Reason;
  counted: "infrastructure" | "user" | "nobody";
  /** Absent where its attempt was given back. */
  outcome?: AttemptOutcome;
  left?: AttemptLeft;
  /** Where the attempt was lost. */
  rescue?: RescueEvidence;
  /** Attempts, by their places, whose steps and logs the item has no room for any more. */
  crowdedOut?: readonly number[];
  /** Nobody should claim the task sooner. */
  delaySeconds: number;
  nowMs: number;
}

/** Refused also where the task was cancelled meanwhile: a queued task has no worker that would hear of it. */
export async function requeueTask(
  table: Table,
  key: AttemptKey,
  proof: LeaseProof,
  { reason, counted, outcome, left, rescue, crowdedOut = [], delaySeconds, nowMs }: Requeue,
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const record = `attempts[${key.attempt - 1}]`;
  const move: TaskTransition = { at, from: "running", to: "queued", attempt: key.attempt, reason };
  const held = holdsLease(key, proof);
  return moveTask(table, key, {
    transitions: [move],
    nowMs,
    condition: `${held.condition} AND attribute_not_exists(cancel)`,
    set: [
      `announce = :announce, queuedAt = :at, ${record}.endedAt = :at, ${record}.outcome = :outcome`,
      `${record}.steps = :steps, ${record}.logs = :logs, ${record}.artifacts = :artifacts`,
      ...(left?.footprint ? [`${record}.footprint = :footprint`] : []),
      ...(rescue ? [`${record}.rescue = :rescue`] : []),
      ...dropDetails(crowdedOut),
      ...(counted === "infrastructure" ? ["infrastructureFailures = infrastructureFailures + :one"] : []),
      ...(counted === "user" ? ["userFailures = if_not_exists(userFailures, :zero) + :one"] : []),
    ],
    remove: ["lease"],
    names: held.names,
    values: {
      ...(counted === "nobody" ? {} : { ":one": 1 }),
      ":at": at,
      ":outcome": { ...outcome, reason },
      ":steps": left?.steps ?? [],
      ":logs": left?.logs ?? [],
      ":artifacts": left?.artifacts ?? [],
      ...(left?.footprint ? { ":footprint": left.footprint } : {}),
      ...(rescue ? { ":rescue": rescue } : {}),
      ":announce": firstAnnouncement(nowMs + delaySeconds * 1000),
      ...held.values,
    },
  });
}

/** What an attempt left, as it is told after it was given back; `crowdedOut` as in `Requeue`. */
export interface LeftNote {
  /** In place of the reason that it was given back for. */
  reason?: Reason;
  left: AttemptLeft;
  crowdedOut: readonly number[];
}

/**
 * Notes what an attempt left that was given back before; refused where that was told already, or the attempt was lost.
 * It moves nothing: the task may long run elsewhere.
 */
export async function noteLeft(
  table: Table,
  key: AttemptKey,
  leaseToken: string,
  { reason, left, crowdedOut }: LeftNote,
): Promise<TaskMove> {
  const record = `attempts[${key.attempt - 1}]`;
  const set = [
    `${record}.steps = :steps, ${record}.logs = :logs, ${record}.artifacts = :artifacts`,
    ...(reason ? [`${record}.outcome.reason = :reason`] : []),
    ...(left.footprint ? [`${record}.footprint = :footprint`] : []),
    ...dropDetails(crowdedOut),
  ];
  return toMove(
    await updateItem(table, {
      Key: itemKeyOf(key),
      UpdateExpression: `SET ${set.join(", ")}`,
      ConditionExpression: `${record}.leaseToken = :token AND size(${record}.steps) = :zero`,
      ExpressionAttributeValues: {
        ":token": leaseToken,
        ":zero": 0,
        ...(reason ? { ":reason": reason } : {}),
        ":steps": left.steps,
        ":logs": left.logs,
        ":artifacts": left.artifacts,
        ...(left.footprint ? { ":footprint": left.footprint } : {}),
        ...(crowdedOut.length > 0 ? { ":none": [] } : {}),
      },
    }),
  );
}

/** Parts of an update that leave out what some attempts told of their steps and logs (`:none` is an empty list). */
function dropDetails(places: readonly number[]): string[] {
  return places.map((place) => `attempts[${place}].steps = :none, attempts[${place}].logs = :none`);
}

/** The condition that an attempt is the running one and that its lease is the one of the proof. */
function holdsLease(key: AttemptKey, { token, seenUntilMs }: LeaseProof) {
  const seen = seenUntilMs === undefined ? "" : " AND lease.untilMs = :seenUntil";
  return {
    condition: `lease.#token = :token AND attempt = :attempt${seen}`,
    names: { "#token": "token" },
    values: {
      ":token": token,
      ":attempt": key.attempt,
      ...(seenUntilMs === undefined ? {} : { ":seenUntil": seenUntilMs }),
    },
  };
}

/** A condition on a task's item beside those of a move, with its values. */
export interface ItemCondition {
  condition: string;
  values: Record<string, unknown>;
}

/** Ends a task that no worker holds, as it was seen; `also` is what else must hold. */
export async function endUnclaimed(
  table: Table,
  task: TaskItem,
  { state, reason }: UnclaimedEnd,
  nowMs: number,
  also?: ItemCondition,
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  return moveTask(table, task, {
    transitions: [{ at, from: task.state, to: state, attempt: task.attempt, reason }],
    nowMs,
    condition: `#rev = :rev AND attribute_not_exists(lease)${also ? ` AND ${also.condition}` : ""}`,
    set: ["endedAt = :at, outcome = :outcome"],
    remove: ["announce", "waitingFor"],
    values: { ":rev": task.rev, ":at": at, ":outcome": { state, reason }, ...also?.values },
  });
}

/** How an ended task begins again. */
export interface Revival {
  /** Needs that it waits for; without any it is queued. */
  waitingFor?: readonly string[];
  /** Sequence number of the event by which somebody asked for it. */
  retriedSeq?: number;
}

/**
 * Lets a task begin again that has ended, as somebody asked: its attempts stay and are counted on, failures are
 * forgiven. The message of a queued one is for the caller to send; where that does not happen the sweep does it.
 */
export async function reviveTask(
  table: Table,
  task: TaskItem,
  nowMs: number,
  { waitingFor = [], retriedSeq }: Revival = {},
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const waits = waitingFor.length > 0;
  const state = waits ? "pending" : "queued";
  const move: TaskTransition = { at, from: task.state, to: state, attempt: task.attempt };
  return moveTask(table, task, {
    transitions: [move],
    nowMs,
    condition: "#rev = :rev AND #state IN (:s0, :s1, :s2, :s3, :s4)",
    set: [
      "infrastructureFailures = :zero",
      waits ? "waitingFor = :waitingFor" : "announce = :announce, queuedAt = :at",
      ...(retriedSeq === undefined ? [] : ["retriedSeq = :retriedSeq"]),
      ...dropDetails(findCrowdedOut(task.attempts)),
    ],
    remove: ["startedAt", "endedAt", "outcome", "userFailures"],
    values: {
      ...Object.fromEntries(terminalTaskStates.map((ended, index) => [`:s${index}`, ended])),
      ":rev": task.rev,
      ...(waits ? { ":waitingFor": new Set(waitingFor) } : { ":announce": firstAnnouncement(nowMs), ":at": at }),
      ...(retriedSeq === undefined ? {} : { ":retriedSeq": retriedSeq }),
    },
  });
}

export async function requestTaskCancel(table: Table, task: TaskItem, cancel: CancelRequest): Promise<TaskMove> {
  return toMove(
    await updateItem(table, {
      Key: itemKeyOf(task),
      UpdateExpression: "SET cancel = if_not_exists(cancel, :cancel)",
      // The move that was seen: a task that was retried since is not the one that was to be cancelled.
      ConditionExpression: "#state = :running AND #rev = :rev",
      ExpressionAttributeNames: { "#state": "state", "#rev": "rev" },
      ExpressionAttributeValues: { ":cancel": cancel, ":running": "running", ":rev": task.rev },
    }),
  );
}

export async function noteWatched(table: Table, task: TaskAddress, untilMs: number): Promise<void> {
  await updateItem(table, {
    Key: itemKeyOf(task),
    UpdateExpression: "SET watchedUntilMs = :until",
    ConditionExpression: "#state = :running",
    ExpressionAttributeNames: { "#state": "state" },
    ExpressionAttributeValues: { ":until": untilMs, ":running": "running" },
  });
}

/** Lets the sweep look at a task again at a time, or (undefined) never; refused where it has moved since. */
export async function noteTaskDue(table: Table, task: TaskItem, dueAtMs: number | undefined): Promise<TaskMove> {
  return toMove(
    await updateItem(table, {
      Key: itemKeyOf(task),
      UpdateExpression: dueAtMs === undefined ? "REMOVE duePk, dueAt" : "SET duePk = :duePk, dueAt = :dueAt",
      ConditionExpression: "#rev = :rev AND attribute_not_exists(unfolded)",
      ExpressionAttributeNames: { "#rev": "rev" },
      ExpressionAttributeValues: {
        ":rev": task.rev,
        ...(dueAtMs === undefined ? {} : dueValues(task.task, dueAtMs)),
      },
    }),
  );
}

/** Notes when a waiting task that was just announced is announced again; refused where it has moved since. */
export async function noteTaskAnnounced(table: Table, task: TaskItem, next: Announcement): Promise<TaskMove> {
  return toMove(
    await updateItem(table, {
      Key: itemKeyOf(task),
      UpdateExpression: "SET announce = :announce, duePk = :duePk, dueAt = :dueAt",
      ConditionExpression: "#rev = :rev AND attribute_not_exists(unfolded)",
      ExpressionAttributeNames: { "#rev": "rev" },
      ExpressionAttributeValues: { ":rev": task.rev, ":announce": next, ...dueValues(task.task, next.atMs) },
    }),
  );
}
