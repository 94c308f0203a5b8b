import type { TaskMark } from "../../../shared/domain/task-mark.ts";
import type { Bar } from "./bars.ts";

/** Which time a pixel stands for. */
export interface Scale {
  fromMs: number;
  msPerPx: number;
  width: number;
}

/**
 * A part of a row as it is drawn, in pixels. `dense`: several attempts that are shorter than a pixel, of which `share`
 * says how much of it they fill; its mark is the one that matters most.
 */
export interface Piece {
  phase: "queue" | "lease" | "run" | "upload" | "dense";
  x: number;
  width: number;
  mark: TaskMark;
  share: number;
  /** The bar goes on beyond now. */
  open?: boolean;
}

/** What must not vanish among many first. */
const weights: Readonly<Record<TaskMark, number>> = {
  failed: 8,
  timed_out: 7,
  failures: 6,
  aborted: 5,
  skipped: 4,
  running: 3,
  queued: 2,
  pending: 1,
  completed: 0,
};
const leastWidth = 2;
const leastQueue = 3;

/** Index of the first bar of a row that has not ended before a time; those before it are to the left of what is shown. */
export function findFirst(bars: readonly Bar[], fromMs: number): number {
  let [low, high] = [0, bars.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((bars[middle]?.endMs ?? Number.POSITIVE_INFINITY) < fromMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What is drawn of a row: nothing that is out of sight, and never more than a few pieces a pixel. */
export function planRow(bars: readonly Bar[], scale: Scale, nowMs: number): Piece[] {
  const pieces: Piece[] = [];
  const toMs = scale.fromMs + scale.width * scale.msPerPx;
  const first = findFirst(bars, scale.fromMs);
  for (let index = first; index < bars.length; index++) {
    const bar = bars[index];
    if (!bar) break;
    const queuedMs = bar.startMs - (bar.waitedMs ?? 0);
    if (bar.startMs > toMs && queuedMs > toMs) break;
    const endMs = bar.endMs ?? Math.max(nowMs, bar.startMs);
    const width = (endMs - bar.startMs) / scale.msPerPx;
    if (width < leastWidth && bar.endMs !== undefined) addDense(pieces, bar, width, scale);
    else {
      const idleFromMs = index === 0 ? 0 : (bars[index - 1]?.endMs ?? bar.startMs);
      addPhases(pieces, bar, endMs, Math.max(queuedMs, idleFromMs), scale);
    }
    if (bar.startMs > toMs) break;
  }
  return pieces;
}

function addDense(pieces: Piece[], bar: Bar, width: number, { fromMs, msPerPx, width: all }: Scale): void {
  const x = Math.floor((bar.startMs - fromMs) / msPerPx);
  if (x < 0 || x >= all) return;
  const last = pieces.at(-1);
  if (last?.phase === "dense" && x - last.x < leastWidth) {
    last.share = Math.min(1, last.share + width / leastWidth);
    if (weights[bar.mark] > weights[last.mark]) last.mark = bar.mark;
    return;
  }
  pieces.push({ phase: "dense", x, width: leastWidth, mark: bar.mark, share: Math.min(1, width / leastWidth) });
}

/** The wait is drawn as far back as the row was idle: before, another attempt has its place. */
function addPhases(pieces: Piece[], bar: Bar, endMs: number, waitedFromMs: number, scale: Scale): void {
  const add = (phase: Piece["phase"], fromMs: number, toMs: number, least = 0) => {
    const left = Math.max(0, (fromMs - scale.fromMs) / scale.msPerPx);
    const right = Math.min(scale.width, (toMs - scale.fromMs) / scale.msPerPx);
    if (right - left > least) pieces.push({ phase, x: left, width: right - left, mark: bar.mark, share: 1 });
  };
  add("queue", waitedFromMs, bar.startMs, leastQueue);
  const ranFromMs = Math.min(endMs, bar.startMs + (bar.leaseMs ?? 0));
  const ranToMs = bar.runMs === undefined ? endMs : Math.min(endMs, ranFromMs + bar.runMs);
  add("lease", bar.startMs, ranFromMs, 0.5);
  add("run", ranFromMs, ranToMs);
  add("upload", ranToMs, endMs, 0.5);
  const last = pieces.at(-1);
  if (bar.endMs === undefined && last?.phase === "run") last.open = true;
}

/** A bar at a place of a row, or the nearest within a few pixels. */
export function findBar(bars: readonly Bar[], atMs: number, toleranceMs: number, nowMs: number): Bar | undefined {
  let nearest: Bar | undefined;
  let distance = toleranceMs;
  for (let index = findFirst(bars, atMs - toleranceMs); index < bars.length; index++) {
    const bar = bars[index];
    if (!bar || bar.startMs - atMs > distance) break;
    const away = Math.max(bar.startMs - atMs, atMs - (bar.endMs ?? Math.max(nowMs, bar.startMs)), 0);
    if (away > distance || (nearest && away >= distance)) continue;
    nearest = bar;
    distance = away;
    if (away === 0) break;
  }
  return nearest;
}

const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** Marks of the axis: round numbers of seconds since the beginning, not closer than so many pixels. */
export function planTicks({ fromMs, msPerPx, width }: Scale, originMs: number, leastPx: number): number[] {
  const leastSeconds = (leastPx * msPerPx) / 1000;
  let step = nice.find((seconds) => seconds >= leastSeconds) ?? Math.ceil(leastSeconds / 86_400) * 86_400;
  if (leastSeconds < 0.5) step = [0.001, 0.01, 0.05, 0.1, 0.5].find((seconds) => seconds >= leastSeconds) ?? 0.5;
  const stepMs = step * 1000;
  const ticks: number[] = [];
  const endMs = fromMs + width * msPerPx;
  for (let at = Math.ceil((fromMs - originMs) / stepMs) * stepMs; originMs + at <= endMs; at += stepMs) {
    ticks.push(originMs + at);
  }
  return ticks;
}
