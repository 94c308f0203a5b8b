import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CountableMove, type FoldableDigest, foldMoves, orderMoves } from "../../shared/domain/fold.ts";
import { decideJobOutcome } from "../../shared/domain/job-state.ts";
import { reasonCodes } from "../../shared/domain/reason.ts";
import { countAll, countEnded, type TaskCounts, taskCounts } from "../../shared/domain/task-counts.ts";
import { canTransition, isTerminalTaskState, type TaskState, taskStates } from "../../shared/domain/task-state.ts";
import { propertyRun } from "../support/property-run.ts";

const startMs = Date.UTC(2026, 0, 5);
const atMs = (ms: number) => new Date(startMs + ms).toISOString();

/** A history: which task moves next, and by which of the edges its state has. */
const stepArbitrary = fc.record({
  task: fc.nat(7),
  edge: fc.nat(20),
  warning: fc.boolean(),
  reason: fc.option(fc.constantFrom(...reasonCodes), { nil: undefined }),
  skewMs: fc.integer({ min: -50, max: 50 }),
});
const historyArbitrary = fc.record({
  total: fc.integer({ min: 1, max: 8 }),
  abort: fc.constantFrom("never", "on-failure", "on-error"),
  steps: fc.array(stepArbitrary, { maxLength: 60 }),
  /** Where the history is cut into folds. */
  cuts: fc.array(fc.nat(60), { maxLength: 6 }),
});
type History = typeof historyArbitrary extends fc.Arbitrary<infer T> ? T : never;

/** The moves of a history, each along an edge of the state machine. */
function playHistory({ total, steps }: History): { moves: CountableMove[]; states: TaskState[] } {
  const states: TaskState[] = Array.from({ length: total }, () => "queued");
  const moves: CountableMove[] = [];
  steps.forEach(({ task, edge, warning, reason, skewMs }, index) => {
    const slot = task % total;
    const from = states[slot] ?? "queued";
    const edges = taskStates.filter((to) => canTransition(from, to));
    const to = edges[edge % edges.length];
    if (!to) return;
    states[slot] = to;
    moves.push({
      task: `t${slot}`,
      at: atMs(index * 10 + skewMs),
      from,
      to,
      warning: to === "failed" ? warning : undefined,
      reason: reason && { code: reason },
    });
  });
  return { moves, states };
}

function newDigest({ total, abort }: History): FoldableDigest {
  return { state: "queued", counts: taskCounts({ queued: total }), total, abort };
}

function countBruteForce(states: readonly TaskState[]): TaskCounts {
  const counts = taskCounts();
  for (const state of states) counts[state] += 1;
  return counts;
}

/** Attempts that ended with a reason, whatever came after them, and failures without an attempt. */
function countReasons(moves: readonly CountableMove[]): FoldableDigest["reasons"] {
  const ends = moves.filter(({ from, to }) => from === "running" || to === "failed" || to === "timed_out");
  const codes = ends.flatMap(({ reason }) => reason?.code ?? []);
  if (codes.length === 0) return undefined;
  return Object.fromEntries(codes.map((code) => [code, codes.filter((other) => other === code).length]));
}

describe("counting moves", () => {
  it("comes to what counting the tasks comes to, whatever happened and however it is cut", () => {
    propertyRun(
      fc.property(historyArbitrary, (history) => {
        const { moves, states } = playHistory(history);
        let digest = newDigest(history);
        const cuts = [0, ...history.cuts.map((cut) => cut % (moves.length + 1)).sort((a, b) => a - b), moves.length];
        for (const [index, from] of cuts.entries())
          digest = foldMoves(digest, moves.slice(from, cuts[index + 1])).digest;
        expect(digest.counts).toEqual(countBruteForce(states));
        expect(digest.reasons).toEqual(countReasons(moves));
        expect(digest).toEqual(foldMoves(newDigest(history), moves).digest);
      }),
    );
  });

  it("tells of an end exactly when all tasks have ended, with the outcome of that moment", () => {
    propertyRun(
      fc.property(historyArbitrary, (history) => {
        const { moves } = playHistory(history);
        let digest = newDigest(history);
        let cancelled = false;
        for (const move of moves) {
          const fold = foldMoves(digest, [move]);
          digest = fold.digest;
          cancelled ||= fold.effects.some((effect) => effect.kind === "abort");
          const allEnded = countEnded(digest.counts) === history.total;
          const ends = fold.effects.filter((effect) => effect.kind === "ended");
          expect(ends).toHaveLength(allEnded ? 1 : 0);
          expect(countAll(digest.counts)).toBe(history.total);
          expect(Object.values(digest.counts).every((count) => count >= 0)).toBe(true);
          expect(digest.endedAt).toBe(allEnded ? move.at : undefined);
          if (allEnded) {
            expect(digest.state).toBe(decideJobOutcome(digest.counts, false));
            expect(fold.effects.at(-1)).toEqual({
              kind: "ended",
              at: move.at,
              state: digest.state,
              counts: digest.counts,
            });
          } else expect(["queued", "running"]).toContain(digest.state);
        }
        expect(digest.cancel !== undefined).toBe(cancelled);
      }),
    );
  });

  it("tells of each move, of the first start and of the one abort that its policy asks for", () => {
    propertyRun(
      fc.property(historyArbitrary, (history) => {
        const { moves } = playHistory(history);
        const { effects } = foldMoves(newDigest(history), moves);
        expect(effects.flatMap((effect) => (effect.kind === "moved" ? [effect.move] : []))).toEqual(moves);
        expect(effects.filter((effect) => effect.kind === "started").length).toBeLessThanOrEqual(1);
        const aborts = effects.filter((effect) => effect.kind === "abort");
        expect(aborts.length).toBeLessThanOrEqual(history.abort === "never" ? 0 : 1);
        if (aborts.length === 1) {
          const asks = (move: CountableMove) =>
            history.abort === "on-failure"
              ? move.to === "failed" && move.warning === true
              : (move.to === "failed" && move.warning !== true) || move.to === "timed_out";
          expect(moves.some(asks)).toBe(true);
        }
      }),
    );
  });
});

describe("the order of moves of several tasks", () => {
  it("keeps all of them and each task's own order, and is by time where clocks agree", () => {
    propertyRun(
      fc.property(historyArbitrary, (history) => {
        const { moves } = playHistory(history);
        const perTask = [...Map.groupBy(moves, (move) => move.task).values()];
        const ordered = orderMoves(perTask);
        expect(ordered).toHaveLength(moves.length);
        for (const own of perTask) expect(ordered.filter((move) => move.task === own[0]?.task)).toEqual(own);
        const agreed = perTask.map((own) => own.toSorted((a, b) => (a.at < b.at ? -1 : 1)));
        const byTime = orderMoves(agreed).map((move) => move.at);
        expect(byTime).toEqual(byTime.toSorted());
      }),
    );
  });

  it("never counts below zero and always comes to the same counts, whichever order the tasks come in", () => {
    propertyRun(
      fc.property(historyArbitrary, fc.infiniteStream(fc.nat(100)), (history, random) => {
        const { moves, states } = playHistory(history);
        const perTask = [...Map.groupBy(moves, (move) => move.task).values()];
        const shuffled = perTask
          .map((own) => ({ own, key: random.next().value ?? 0 }))
          .sort((a, b) => a.key - b.key)
          .map(({ own }) => own);
        const { digest } = foldMoves(newDigest(history), orderMoves(shuffled));
        expect(digest.counts).toEqual(countBruteForce(states));
        expect(digest.reasons).toEqual(countReasons(moves));
        const allEnded = states.every(isTerminalTaskState);
        expect(["queued", "running"].includes(digest.state)).toBe(!allEnded);
      }),
    );
  });
});
