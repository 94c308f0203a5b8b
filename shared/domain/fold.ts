import { decideJobOutcome, isTerminalJobState, type JobState } from "./job-state.ts";
import type { ReasonCode } from "./reason.ts";
import { countEnded, type TaskCounts } from "./task-counts.ts";
import type { TaskState } from "./task-state.ts";

/** What the fold needs to know of a job: its counters, its state, and whether its end was asked for. */
export interface FoldableDigest {
  state: JobState;
  counts: TaskCounts;
  total: number;
  abort: "never" | "on-failure" | "on-error";
  startedAt?: string | undefined;
  endedAt?: string | undefined;
  cancel?: { cause: "user" | "abort_policy" | "job_timeout" } | undefined;
  /** How many ends each reason had, see `countsReason`; absent where none had one. */
  reasons?: Partial<Record<ReasonCode, number>> | undefined;
}

/** A move of one task as the fold counts it. */
export interface CountableMove {
  task: string;
  at: string;
  from: TaskState;
  to: TaskState;
  warning?: boolean | undefined;
  reason?: { code: ReasonCode } | undefined;
}

/** What else happens to the job when a move is counted, in order. */
export type FoldEffect<Move> =
  | { kind: "moved"; move: Move }
  | { kind: "started"; at: string }
  | { kind: "abort"; at: string; detail: string }
  | { kind: "ended"; at: string; state: "completed" | "failed" | "aborted"; counts: TaskCounts };

/**
 * Counts moves, in order, into a digest: pure, so that it can be held against a model. The last move of a job's last
 * task brings the job's outcome with it; there is no moment in which all tasks have ended and the job has not.
 */
export function foldMoves<Digest extends FoldableDigest, Move extends CountableMove>(
  digest: Digest,
  moves: readonly Move[],
): { digest: Digest; effects: FoldEffect<Move>[] } {
  const next: Digest = { ...digest, counts: { ...digest.counts } };
  const effects: FoldEffect<Move>[] = [];
  for (const move of moves) {
    next.counts[move.from] -= 1;
    next.counts[move.to] += 1;
    if (move.reason && countsReason(move)) {
      const { code } = move.reason;
      next.reasons = { ...next.reasons, [code]: (next.reasons?.[code] ?? 0) + 1 };
    }
    effects.push({ kind: "moved", move });
    if (isTerminalJobState(next.state)) reopen(next);
    if (move.to === "running" && next.state === "queued") {
      next.state = "running";
      next.startedAt = move.at;
      effects.push({ kind: "started", at: move.at });
    }
    const allEnded = countEnded(next.counts) === next.total;
    if (!allEnded && next.cancel === undefined && violatesAbortPolicy(next.abort, move)) {
      const detail = `task ${move.task} ${move.to === "timed_out" ? "timed out" : "failed"} and the job says abort: ${next.abort}`;
      next.cancel = { cause: "abort_policy" };
      effects.push({ kind: "abort", at: move.at, detail });
    }
    if (allEnded) {
      const state = decideJobOutcome(next.counts, next.cancel?.cause === "user");
      next.state = state;
      next.endedAt = move.at;
      effects.push({ kind: "ended", at: move.at, state, counts: { ...next.counts } });
    }
  }
  return { digest: next, effects };
}

/**
 * Puts the moves of several tasks in the order of their times, but never two moves of one task: their times come from
 * different machines, and a clock that is behind must not make a task end before it started.
 */
export function orderMoves<Move extends Pick<CountableMove, "at">>(perTask: readonly (readonly Move[])[]): Move[] {
  const timed = perTask.flatMap((moves) => {
    let latest = "";
    return moves.map((move) => {
      if (move.at > latest) latest = move.at;
      return { move, at: latest };
    });
  });
  // Stable: moves of one task that now bear one time stay in their order.
  timed.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  return timed.map(({ move }) => move);
}

/**
 * A move out of `running` is the end of an attempt, whether the task is tried again or not. A task that failed without
 * one, as a message that nobody could start does, counts too; what was skipped or cancelled before it ran does not.
 */
function countsReason({ from, to }: CountableMove): boolean {
  return from === "running" || to === "failed" || to === "timed_out";
}

/** A task of an ended job moved again: it was retried, so the job runs again, or waits to. */
function reopen(digest: FoldableDigest): void {
  digest.state = digest.startedAt === undefined ? "queued" : "running";
  delete digest.endedAt;
}

function violatesAbortPolicy(policy: FoldableDigest["abort"], move: CountableMove): boolean {
  if (policy === "never") return false;
  if (move.to === "failed" && move.warning === true) return policy === "on-failure";
  return policy === "on-error" && (move.to === "failed" || move.to === "timed_out");
}
