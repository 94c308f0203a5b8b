import type { HeldAttempt, UnplacedFleetEvent } from "../../events/index.ts";
import type { Heartbeat, WorkerHealth } from "../api/worker-schemas.ts";
import { parseAttemptId } from "../domain/ids.ts";
import { isSilent, type WorkerState } from "../domain/worker-state.ts";
import type { WorkerMove } from "./fleet-moves.ts";
import { activeWorkerEntry, dueEntry } from "./keys.ts";
import type { WorkerItem } from "./workers.ts";

/** A worker nobody will hear of again is forgotten so long after its end. The item only: this decides nothing. */
const workerTtlSeconds = 7 * 24 * 3600;
const ofActive = ["duePk", "dueAt", "activePk", "activeSk"];

/** Attributes by which the sweep, and whoever asks for a pool's workers, find one that has not ended. */
export function activeEntries({ pool, workerId }: Pick<WorkerItem, "pool" | "workerId">, nowMs: number) {
  // Due as long as it lives: the sweep looks at each live worker, and nothing has to be written for that.
  return { ...activeWorkerEntry(pool, workerId), ...dueEntry(workerId, nowMs) };
}

/** What a heartbeat leaves on a worker's item beside its state. */
export function recordOfBeat(beat: Heartbeat, nowMs: number): Record<string, unknown> {
  const { slotsFree, attempts, number, host, health, drainCause } = beat;
  return {
    slotsFree,
    held: attempts.length,
    heldAttempts: attempts.map(({ attemptId }) => attemptId),
    lastSeenMs: nowMs,
    beatNumber: number,
    use: host,
    health,
    healthKey: health && healthKeyOf(health),
    // Its newest: a machine may be taken away while its worker drains for another reason.
    drainCause: beat.state === "alive" ? undefined : drainCause,
  };
}

/** Changes where something is to be told about a worker's health; how bad it is exactly changes all the time. */
export function healthKeyOf({ state, attempt }: WorkerHealth): string {
  return attempt === undefined ? state : `${state}#${attempt}`;
}

/** Of a worker that nobody told anything else of. */
export const healthyKey = healthKeyOf({ state: "healthy" });

/** Whether the heartbeat was overtaken by a later one, or by the worker's end: then it has nothing to say. */
export function isLate(worker: WorkerItem, beat: Heartbeat): boolean {
  return worker.state === "stopped" || (beat.number ?? Number.POSITIVE_INFINITY) <= (worker.beatNumber ?? 0);
}

/** What a heartbeat moves; undefined where it comes too late to say anything. */
export function decideBeat(worker: WorkerItem, beat: Heartbeat, nowMs: number): WorkerMove | undefined {
  if (isLate(worker, beat)) return undefined;
  // By one condition with the wish itself: a drain that was taken back before the worker's end is none.
  const stays = beat.mayStay === true && worker.drainRequestedAt === undefined;
  const state = stays ? "draining" : beat.state;
  const decision =
    state === "stopped" ? decideStop(worker, beat, nowMs) : decideLife(worker, { ...beat, state }, nowMs);
  const { set, remove, ...rest } = decision;
  const events = [...rest.events, ...tellHealth(worker, beat)];
  return { ...rest, events, set: { ...recordOfBeat(beat, nowMs), state, ...set }, remove: remove ?? [] };
}

function decideLife(worker: WorkerItem, beat: Heartbeat, nowMs: number): WorkerMove {
  const { workerId, state: from } = worker;
  const events: UnplacedFleetEvent[] = [];
  if (from === "starting") {
    const { host, version, slots } = worker;
    events.push({ type: "worker_started", workerId, host, version, slots });
  } else if (from === "lost") {
    events.push({ type: "worker_returned", workerId, lastSeenAt: new Date(worker.lastSeenMs).toISOString() });
  }
  const drains = beat.state === "draining";
  const drained = worker.drainingSince !== undefined;
  if (drains && !drained) {
    events.push({ type: "worker_draining", workerId, ...(beat.drainCause ? { cause: beat.drainCause } : {}) });
  } else if (!drains && drained) {
    events.push({ type: "worker_undrained", workerId });
  }
  const kind = from === "starting" ? "started" : "returned";
  return {
    events,
    set: {
      ...(from === "lost" ? activeEntries(worker, nowMs) : {}),
      ...(drains && !drained ? { drainingSince: new Date(nowMs).toISOString() } : {}),
    },
    remove: [...(from === "lost" ? ["expiresAt", "lostAt"] : []), ...(drains ? [] : ["drainingSince", "drainCause"])],
    ...(wasLive(from) ? {} : { change: { kind, workerId } }),
  };
}

function decideStop(worker: WorkerItem, beat: Heartbeat, nowMs: number): WorkerMove {
  const { workerId, state: from } = worker;
  const abandoned = listAttempts(beat.abandoned ?? beat.attempts.map(({ attemptId }) => attemptId));
  const clean = abandoned.length === 0;
  return {
    events: [{ type: "worker_stopped", workerId, clean, abandoned }],
    set: { abandoned: abandoned.length, stoppedAt: new Date(nowMs).toISOString(), expiresAt: ttl(nowMs) },
    remove: ofActive,
    change: { kind: clean ? "clean" : "abandoned", workerId, wasLive: wasLive(from) },
  };
}

/** That a worker is lost with these attempts; undefined where it is not, or not any more. */
export function decideLoss(worker: WorkerItem, attemptIds: readonly string[], nowMs: number): WorkerMove | undefined {
  const { workerId, state, host, lastSeenMs } = worker;
  if (!isSilent(worker, nowMs) || state === "lost" || state === "stopped") return undefined;
  const lastSeenAt = new Date(lastSeenMs).toISOString();
  const tasks = listAttempts(attemptIds);
  return {
    events: [{ type: "worker_lost", workerId, host, from: state, lastSeenAt, tasks }],
    set: { state: "lost", lostAt: new Date(nowMs).toISOString(), expiresAt: ttl(nowMs) },
    remove: ofActive,
    change: { kind: "lost", workerId, wasLive: wasLive(state) },
    unheard: true,
  };
}

function tellHealth({ workerId, healthKey = healthyKey }: WorkerItem, { health }: Heartbeat): UnplacedFleetEvent[] {
  if (!health || healthKeyOf(health) === healthKey) return [];
  const { state, detail, attempt } = health;
  const told = { ...(detail === undefined ? {} : { detail }), ...(attempt === undefined ? {} : { attempt }) };
  return [{ type: state === "healthy" ? "health" : state, workerId, ...told }];
}

function wasLive(state: WorkerState): boolean {
  return state === "alive" || state === "draining";
}

function listAttempts(attemptIds: readonly string[]): HeldAttempt[] {
  return attemptIds.flatMap((attemptId) => {
    const key = parseAttemptId(attemptId);
    return key ? [{ jobId: key.jobId, task: key.task, attempt: key.attempt }] : [];
  });
}

function ttl(nowMs: number): number {
  return Math.floor(nowMs / 1000) + workerTtlSeconds;
}
