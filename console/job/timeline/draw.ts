import { formatDuration } from "../../../shared/domain/format.ts";
import type { TaskMark } from "../../../shared/domain/task-mark.ts";
import { sizeCanvas } from "../mark-colors.ts";
import type { Bar } from "./bars.ts";
import type { PlacedRow, Placement } from "./lanes.ts";
import { type Piece, planRow, planTicks, type Scale } from "./pieces.ts";

/** Colours and font of the timeline as the style sheets have them now. */
export interface Paint {
  marks: Record<TaskMark, string>;
  text: string;
  dim: string;
  line: string;
  background: string;
  stripe: string;
  font: string;
}

/** What is drawn: the part of all lanes that is in view. */
export interface Scene {
  placement: Placement;
  scale: Scale;
  originMs: number;
  nowMs: number;
  /** How far the lanes are scrolled, and how much of them is seen, in pixels. */
  scrollTop: number;
  height: number;
  labelWidth: number;
  selected: Bar | undefined;
}

/** Height of the axis above the lanes. */
export const axisHeight = 22;
const leastTickPx = 90;
const failing: ReadonlySet<TaskMark> = new Set<TaskMark>(["failed", "timed_out"]);
const opacity: Readonly<Record<Piece["phase"], number>> = { queue: 0.7, lease: 0.4, run: 1, upload: 0.55, dense: 1 };

/** Draws the timeline: nothing that is out of view. */
export function drawTimeline(canvas: HTMLCanvasElement, paint: Paint, scene: Scene): void {
  const { scale, height, labelWidth, placement, scrollTop } = scene;
  const width = labelWidth + scale.width;
  sizeCanvas(canvas, width, height + axisHeight);
  const context = canvas.getContext("2d");
  if (!context) return;
  const ratio = window.devicePixelRatio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height + axisHeight);
  context.save();
  context.beginPath();
  context.rect(0, axisHeight, width, height);
  context.clip();
  context.translate(0, axisHeight - scrollTop);
  drawLabels(context, paint, scene);
  context.restore();
  drawAxis(context, paint, scene);
  context.save();
  context.beginPath();
  context.rect(labelWidth, axisHeight, scale.width, height);
  context.clip();
  context.translate(labelWidth, axisHeight - scrollTop);
  for (const row of placement.rows) {
    if (row.top + placement.rowHeight < scrollTop || row.top > scrollTop + height) continue;
    for (const piece of planRow(row.bars, scale, scene.nowMs))
      drawPiece(context, paint, piece, row, placement.rowHeight);
    const selected = scene.selected?.workerId === row.lane.workerId ? row.bars.find(isBar(scene.selected)) : undefined;
    if (selected) drawSelection(context, paint, scene, selected, row);
  }
  context.restore();
}

/** Tells an attempt among others; what is known of it may have changed meanwhile. */
export function isBar({ task, attempt }: Bar): (bar: Bar) => boolean {
  return (bar) => bar.task === task && bar.attempt === attempt;
}

function drawAxis(context: CanvasRenderingContext2D, paint: Paint, scene: Scene): void {
  const { scale, originMs, labelWidth, height } = scene;
  context.font = paint.font;
  context.textBaseline = "middle";
  for (const tick of planTicks(scale, originMs, leastTickPx)) {
    const x = Math.round(labelWidth + (tick - scale.fromMs) / scale.msPerPx) + 0.5;
    context.fillStyle = paint.line;
    context.fillRect(x, axisHeight - 4, 1, height + 4);
    context.fillStyle = paint.dim;
    const afterMs = tick - originMs;
    const text = afterMs === 0 ? "0" : formatTick(afterMs);
    // The last may have no room to its right.
    const room = labelWidth + scale.width - x;
    if (context.measureText(text).width + 4 < room) context.fillText(text, x + 3, axisHeight / 2 - 1);
  }
}

/** Times on the axis are short: `2.5 s`, `40 s`, `3:20`, `1:02:00`. */
function formatTick(ms: number): string {
  if (ms < 60_000) return ms % 1000 === 0 ? `${ms / 1000} s` : `${Number((ms / 1000).toFixed(3))} s`;
  const seconds = Math.round(ms / 1000);
  const pad = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

function drawLabels(context: CanvasRenderingContext2D, paint: Paint, scene: Scene): void {
  const { placement, scrollTop, height, labelWidth, scale } = scene;
  context.font = paint.font;
  context.textBaseline = "middle";
  for (const [index, { lane, top, height: laneHeight }] of placement.lanes.entries()) {
    if (top + laneHeight < scrollTop || top > scrollTop + height) continue;
    if (index % 2 === 0) {
      context.fillStyle = paint.stripe;
      context.fillRect(0, top - 4, labelWidth + scale.width, laneHeight + 8);
    }
    context.fillStyle = paint.text;
    // A worker of many slots is named where one looks.
    const middle = Math.min(Math.max(top + 9, scrollTop + 9), top + laneHeight - 9);
    context.fillText(shortenWorker(lane.workerId), 4, laneHeight <= 40 ? top + laneHeight / 2 : middle);
  }
}

/** The end of a worker's id, which is what tells workers apart. */
export function shortenWorker(workerId: string): string {
  return `…${workerId.slice(-8)}`;
}

function drawPiece(
  context: CanvasRenderingContext2D,
  paint: Paint,
  piece: Piece,
  { top }: PlacedRow,
  rowHeight: number,
): void {
  const { phase, x, mark, share } = piece;
  const gap = rowHeight >= 9 ? 2 : 1;
  const full = rowHeight - gap;
  // What failed stands out by its height too.
  const inset = rowHeight >= 9 && !failing.has(mark) ? 2 : 0;
  // Bars that follow each other at once stay apart as far as there is room.
  const width = piece.width > 6 && (phase === "run" || phase === "upload") ? piece.width - 1 : piece.width;
  context.fillStyle = phase === "queue" ? paint.dim : paint.marks[mark];
  context.globalAlpha = phase === "dense" ? 0.35 + 0.65 * share : opacity[phase];
  if (phase === "queue") context.fillRect(x, Math.round(top + full / 2), width, 1);
  else context.fillRect(x, top + inset, width, full - inset);
  context.globalAlpha = 1;
  if (phase === "run" && failing.has(mark) && width >= 8 && rowHeight >= 9) {
    context.fillStyle = paint.background;
    context.fillRect(x + width / 2 - 1.5, top + full / 2 - 1.5, 3, 3);
  }
  if (piece.open && rowHeight >= 6) {
    // What goes on has no end: its edge is open.
    context.fillStyle = paint.background;
    for (let y = top + inset; y < top + full; y += 4) context.fillRect(x + width - 3, y, 3, 2);
  }
}

/** The attempt that is looked at, with all of its wait, over whatever was there then. */
function drawSelection(
  context: CanvasRenderingContext2D,
  paint: Paint,
  { scale, nowMs, placement }: Scene,
  bar: Bar,
  { top }: PlacedRow,
): void {
  const toX = (ms: number) => (ms - scale.fromMs) / scale.msPerPx;
  const x = toX(bar.startMs);
  const width = Math.max(3, toX(bar.endMs ?? nowMs) - x);
  const height = placement.rowHeight;
  const waited = (bar.waitedMs ?? 0) / scale.msPerPx;
  context.fillStyle = paint.text;
  if (waited > 2) context.fillRect(x - waited, top + height / 2 - 1, waited, 2);
  context.strokeStyle = paint.text;
  context.lineWidth = 1.5;
  context.strokeRect(x - 1.5, top - 1.5, width + 3, height + 2);
}

/** An attempt in a sentence. */
export function describeBar(bar: Bar, nowMs: number): string {
  const { waitedMs, leaseMs, runMs, startMs, endMs } = bar;
  const parts: string[] = [];
  if (waitedMs !== undefined) parts.push(`waited ${formatDuration(waitedMs)}`);
  if (leaseMs !== undefined) parts.push(`got ready in ${formatDuration(leaseMs)}`);
  if (runMs !== undefined) parts.push(`ran ${formatDuration(runMs)}`);
  if (endMs === undefined) parts.push(`since ${formatDuration(nowMs - startMs)}`);
  else if (runMs === undefined) parts.push(`held ${formatDuration(endMs - startMs)}`);
  else parts.push(`stored its output in ${formatDuration(endMs - startMs - (leaseMs ?? 0) - runMs)}`);
  return parts.join(", ");
}
