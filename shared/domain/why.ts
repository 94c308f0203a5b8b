import type { Reason } from "./reason.ts";
import { isTerminalTaskState, type TerminalTaskState } from "./task-state.ts";
import { formatSpan } from "./time-span.ts";
import { timing } from "./timing.ts";
import type { FactOf, WhyCode, WhyFact } from "./why-facts.ts";
import { stateNow, type WorkerState } from "./worker-state.ts";

/** A message that was just sent, or is just being sent, is not looked for any earlier. */
const announceMs = 5_000;

/** A worker of the task's pool as it is on record. */
export interface WhyWorker {
  workerId: string;
  state: WorkerState;
  drainRequested: boolean;
  slots: number;
  slotsFree: number;
  lastSeenMs: number;
  /** What it tells of its machine; absent where it tells nothing. */
  health?: { state: string; detail?: string | undefined } | undefined;
}

/** What is known of a pool: its workers that have not stopped, and when any was last heard of. */
export interface WhyPool {
  pool: string;
  workers: readonly WhyWorker[];
  more: boolean;
  lastSeenMs: number | undefined;
}

/** What all answers rest on. */
interface CommonEvidence {
  nowMs: number;
  task: string;
  cancel: FactOf<"cancel"> | undefined;
  attempts: readonly FactOf<"attempt">[];
}

/** A task that no worker holds. */
export interface WaitingEvidence extends CommonEvidence {
  phase: "waiting";
  slots: number;
  /** Times in milliseconds since the epoch. */
  sinceMs: number;
  /** Present where the task is pending: how many of the tasks it needs have not completed, and the first of them. */
  needs: { unmet: number; first: readonly FactOf<"need">[] } | undefined;
  /** Before then no worker gets the task; 0 where nothing failed under it. */
  retryAtMs: number;
  pool: WhyPool;
  queue: FactOf<"queue">;
  message: { sent: boolean; againAtMs: number };
}

/** A task that a worker holds. */
export interface RunningEvidence extends CommonEvidence {
  phase: "running";
  lease: { attempt: number; workerId: string; claimedAtMs: number; untilMs: number };
  worker: FactOf<"worker"> | undefined;
  step: FactOf<"step"> | undefined;
}

/** A task that has ended. */
export interface EndedEvidence extends CommonEvidence {
  phase: "ended";
  status: TerminalTaskState;
  /** Set where no attempt ended it: it waited for its first, or for another. */
  waited?: boolean;
  reason: Reason | undefined;
  step: FactOf<"step"> | undefined;
  log: FactOf<"log"> | undefined;
}

/** All there is to know about a task: what `explainTask` decides by. `unwritten`: its job is still being written down. */
export type WhyEvidence =
  | (CommonEvidence & { phase: "unwritten"; expansion: FactOf<"expansion"> })
  | WaitingEvidence
  | RunningEvidence
  | EndedEvidence;

/** Why a task is where it is: a stable code, a sentence a user can act on, and what it rests on. */
export interface Explanation {
  code: WhyCode;
  summary: string;
  facts: WhyFact[];
}

/** Says why a task waits, where it runs, or why it ended so. Pure: the same evidence has the same answer. */
export function explainTask(evidence: WhyEvidence): Explanation {
  switch (evidence.phase) {
    case "unwritten":
      return explainUnwritten(evidence);
    case "waiting":
      return explainWaiting(evidence);
    case "running":
      return explainRunning(evidence);
    case "ended":
      return explainEnded(evidence);
  }
}

function explainUnwritten({ task, cancel, expansion }: Extract<WhyEvidence, { phase: "unwritten" }>): Explanation {
  const { written, total } = expansion;
  const facts: WhyFact[] = [...cancelFacts(cancel), { kind: "expansion", ...expansion }];
  const progress = `${written} of the job's ${total} tasks are written`;
  if (cancel) return { code: "cancelling", summary: `${task} will not start: ${cancel.detail}; ${progress}`, facts };
  return {
    code: "being_written",
    summary: `${task} is not written down yet: ${progress}; it follows by itself`,
    facts,
  };
}

function explainWaiting(evidence: WaitingEvidence): Explanation {
  const { nowMs, task, cancel, needs, retryAtMs, slots, sinceMs, queue, message, attempts } = evidence;
  const pool = summarizePool(evidence.pool, nowMs);
  const waiting: WhyFact = { kind: "waiting", since: iso(sinceMs), slots };
  const tried = attempts.map((attempt): WhyFact => ({ kind: "attempt", ...attempt }));
  if (cancel) {
    return answer("cancelling", `${task} is being ended: ${cancel.detail}`, [
      ...cancelFacts(cancel),
      waiting,
      ...tried,
    ]);
  }
  if (needs) {
    const first = needs.first.map((need): WhyFact => ({ kind: "need", ...need }));
    const facts: WhyFact[] = [{ kind: "needs", unmet: needs.unmet }, ...first, waiting, ...tried];
    return answer("needs", describeNeeds(task, needs), facts);
  }
  const { verdict, ...poolFact } = pool;
  const poolFacts: WhyFact[] = [{ kind: "pool", ...poolFact }];
  if (retryAtMs > nowMs) {
    const nextAttempt = attempts.length + 1;
    const last = attempts.at(-1)?.reason;
    const because = last ? ` after ${last.code.replaceAll("_", " ")}` : "";
    const summary = `${task} is tried again in ${formatSpan(retryAtMs - nowMs)}${because}: attempt ${nextAttempt}`;
    return answer("retry_backoff", summary, [
      { kind: "retry", nextAttempt, notBefore: iso(retryAtMs) },
      ...poolFacts,
      ...tried,
    ]);
  }
  const rest: WhyFact[] = [
    ...poolFacts,
    { kind: "queue", ...queue },
    { kind: "message", sent: message.sent, againAt: iso(message.againAtMs) },
    waiting,
    ...tried,
  ];
  const { code, summary } = judgePool(evidence, { ...poolFact, verdict });
  return answer(code, summary, rest);
}

type PoolSummary = FactOf<"pool"> & { verdict: { mostFree: number; unwell: readonly WhyWorker[] } };

/** Live is who was heard of within three heartbeats; only who does not drain takes tasks. */
function summarizePool({ pool, workers, more, lastSeenMs }: WhyPool, nowMs: number): PoolSummary {
  const live = workers.filter((worker) => worker.state !== "stopped" && stateNow(worker, nowMs) !== "lost");
  const taking = live.filter(({ state, drainRequested }) => state !== "draining" && !drainRequested);
  const slots = taking.reduce((sum, worker) => sum + worker.slots, 0);
  const free = taking.reduce((sum, worker) => sum + worker.slotsFree, 0);
  return {
    pool,
    workers: live.length,
    draining: live.length - taking.length,
    slots,
    slotsUsed: slots - free,
    largestWorker: Math.max(0, ...taking.map((worker) => worker.slots)),
    ...(lastSeenMs === undefined ? {} : { lastSeenAt: iso(lastSeenMs) }),
    more,
    verdict: {
      mostFree: Math.max(0, ...taking.map((worker) => worker.slotsFree)),
      unwell: taking.filter(({ health }) => health?.state === "recovering" || health?.state === "recovery_failed"),
    },
  };
}

/** What the pool's workers make of a task that may start as far as its job is concerned. */
function judgePool(evidence: WaitingEvidence, pool: PoolSummary): { code: WhyCode; summary: string } {
  const { nowMs, task, slots, sinceMs, queue, message } = evidence;
  const { lastSeenMs } = evidence.pool;
  const name = `pool ${pool.pool}`;
  if (pool.workers === 0 && !pool.more) {
    const seen =
      lastSeenMs === undefined ? "none was ever seen" : `the last was seen ${formatSpan(nowMs - lastSeenMs)} ago`;
    return { code: "no_workers", summary: `${task} waits for a worker: ${name} has none, ${seen}; start one` };
  }
  if (pool.draining === pool.workers && !pool.more) {
    const summary = `${task} waits for a worker: all ${pool.workers} of ${name} drain and take nothing new; start another`;
    return { code: "all_draining", summary };
  }
  if (slots > pool.largestWorker && !pool.more) {
    const summary = `${task} fits no worker: it needs ${count(slots, "slot")}, the largest of ${name} has ${pool.largestWorker}; start a larger one, or ask for fewer`;
    return { code: "larger_than_any_worker", summary };
  }
  if (slots > pool.verdict.mostFree) {
    const free = pool.slots - pool.slotsUsed;
    const state = free === 0 ? `all ${pool.slots} are used` : `${pool.slotsUsed} of ${pool.slots} are used`;
    const summary = `${task} waits for ${slots === 1 ? "a free slot" : `${slots} free slots of one worker`} in ${name}: ${state}, ${describeQueue(queue)}${describeUnwell(pool.verdict.unwell)}`;
    return { code: "no_free_slots", summary };
  }
  const waitedMs = nowMs - sinceMs;
  const again = `it is announced again ${message.againAtMs > nowMs ? `in ${formatSpan(message.againAtMs - nowMs)}` : "at the next sweep, within a minute"}`;
  if (!message.sent && waitedMs > announceMs) {
    return {
      code: "not_announced",
      summary: `${task} has not been announced to ${name} as far as is known; ${again}`,
    };
  }
  const since =
    waitedMs > announceMs ? `; it has waited ${formatSpan(waitedMs)}, ${again} should it still wait then` : "";
  return { code: "about_to_start", summary: `${task} is about to start: ${name} has slots free for it${since}` };
}

/** Slots of a machine that is not well are told as used: no task gets them. */
function describeUnwell(workers: readonly WhyWorker[]): string {
  const [first] = workers;
  if (first === undefined) return "";
  const why = first.health?.detail === undefined ? "" : ` (${first.health.detail})`;
  const others = workers.length === 1 ? "" : `; so it is with ${count(workers.length - 1, "other worker")}`;
  return `; ${first.workerId} takes no tasks, for its machine is not well${why}${others}`;
}

function describeQueue({ tasksBefore, jobsBefore, more, sameJob }: FactOf<"queue">): string {
  const own = sameJob > 0 ? `, and ${count(sameJob, "other task")} of its own job` : "";
  if (tasksBefore === 0 && !more) return `no task of an earlier job is before it${own}`;
  const least = more ? "more than " : "";
  return `${least}${count(tasksBefore, "task")} of ${least}${count(jobsBefore, "earlier job")} wait too${own}`;
}

function explainRunning(evidence: RunningEvidence): Explanation {
  const { nowMs, task, cancel, lease, worker, step, attempts } = evidence;
  const renewedAtMs = lease.untilMs - timing.leaseMs;
  const silentMs = nowMs - renewedAtMs;
  const on = `worker ${lease.workerId}${worker?.host ? ` (${worker.host})` : ""}`;
  const facts: WhyFact[] = [
    ...cancelFacts(cancel),
    { kind: "worker", ...(worker ?? { workerId: lease.workerId }) },
    {
      kind: "lease",
      attempt: lease.attempt,
      claimedAt: iso(lease.claimedAtMs),
      renewedAt: iso(renewedAtMs),
      until: iso(lease.untilMs),
    },
    ...(step ? [{ kind: "step" as const, ...step }] : []),
    ...attempts.map((attempt): WhyFact => ({ kind: "attempt", ...attempt })),
  ];
  if (silentMs > timing.workerSilentMs) {
    const leftMs = lease.untilMs - nowMs;
    const next = cancel ? "the task ends" : "another worker gets the task";
    const then =
      leftMs > 0
        ? `if it stays so for ${formatSpan(leftMs)}, ${next}`
        : `its lease has run out: ${next} within a minute`;
    return answer(
      "worker_silent",
      `${on} holds ${task} but was last heard of ${formatSpan(silentMs)} ago; ${then}`,
      facts,
    );
  }
  if (cancel) return answer("being_cancelled", `${task} is being ended on ${on}: ${cancel.detail}`, facts);
  const where = step ? `, in step ${step.step} of ${step.steps} (${step.name})` : "";
  const attempt = lease.attempt > 1 ? `attempt ${lease.attempt} of ` : "";
  const summary = `${attempt}${task} runs on ${on} since ${formatSpan(nowMs - lease.claimedAtMs)}${where}`;
  return answer("running", summary, facts);
}

function explainEnded(evidence: EndedEvidence): Explanation {
  const { task, status, reason, step, log, attempts } = evidence;
  const tries = evidence.waited
    ? attempts.length > 0 && ` while it waited after attempt ${attempts.length}`
    : attempts.length > 1 && ` at attempt ${attempts.length}`;
  const facts: WhyFact[] = [
    ...(reason ? [{ kind: "reason" as const, ...reason }] : []),
    ...(step ? [{ kind: "step" as const, ...step }] : []),
    ...(log && log.lines.length > 0 ? [{ kind: "log" as const, ...log }] : []),
    ...attempts.map((attempt): WhyFact => ({ kind: "attempt", ...attempt })),
  ];
  const words: Record<TerminalTaskState, string> = {
    completed: "completed",
    failed: "failed",
    aborted: "was aborted",
    skipped: "was skipped",
    timed_out: "timed out",
  };
  const lackedMemory =
    status === "completed" && step?.outOfMemory === true
      ? `, though the kernel killed a process of step ${step.step} (${step.name}) for lack of memory`
      : "";
  const because = reason ? `: ${reason.detail}` : lackedMemory;
  const blame = reason?.fault === "infrastructure" ? "; the fault is the infrastructure's, not the task's" : "";
  const never = attempts.length === 0 && status !== "completed" ? " before it started" : "";
  return answer(status, `${task} ${words[status]}${tries || ""}${never}${because}${blame}`, facts);
}

function answer(code: WhyCode, summary: string, facts: WhyFact[]): Explanation {
  return { code, summary, facts };
}

function cancelFacts(cancel: FactOf<"cancel"> | undefined): WhyFact[] {
  return cancel ? [{ kind: "cancel", ...cancel }] : [];
}

const namedNeeds = 3;

function describeNeeds(task: string, { unmet, first }: NonNullable<WaitingEvidence["needs"]>): string {
  if (unmet === 0) return `${task} is about to be queued: all that it needs has completed`;
  const missed = first.filter(({ status }) => isTerminalTaskState(status));
  if (missed.length > 0) return `${task} will not start: it needs ${listNeeds(missed, missed.length)}`;
  return `${task} waits for ${listNeeds(first, unmet)}`;
}

/** The first few by name and state, the others by number. */
function listNeeds(needs: readonly FactOf<"need">[], total: number): string {
  const named = needs.slice(0, namedNeeds).map(({ task, status }) => `${task} (${status.replaceAll("_", " ")})`);
  const others = total - named.length;
  return `${named.join(", ")}${others > 0 ? ` and ${count(others, "other task")}` : ""}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
