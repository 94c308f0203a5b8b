import { formatNumber } from "../../shared/domain/format.ts";
import type { TaskCounts } from "../../shared/domain/task-counts.ts";
import type { TaskMark } from "../../shared/domain/task-mark.ts";
import type { Style } from "../terminal/style.ts";
import { markLooks, taskMarks } from "../terminal/symbols.ts";

/** Tasks by mark: by state, with the failures that are shown as warnings apart. */
export function countMarks(counts: TaskCounts, warnings: number): { mark: TaskMark; count: number }[] {
  return taskMarks.map((mark) => ({ mark, count: countMark(mark, counts, warnings) })).filter(({ count }) => count > 0);
}

function countMark(mark: TaskMark, counts: TaskCounts, warnings: number): number {
  if (mark === "failures") return Math.min(warnings, counts.failed);
  if (mark === "failed") return Math.max(0, counts.failed - warnings);
  return counts[mark];
}

/** `✅ 3,300 completed   ❌ 3 failed   ▶ 40 running`. */
export function formatCounts(counts: TaskCounts, warnings: number, style: Style): string {
  return countMarks(counts, warnings)
    .map(({ mark, count }) => {
      const { symbol, label, color } = markLooks[mark];
      return style(color, `${symbol.trimEnd()} ${formatNumber(count)} ${label}`);
    })
    .join("   ");
}

/**
 * A bar of `width` columns in which each mark has its share. Every mark with a task gets a column where there is room,
 * so that one failure among ten thousand tasks is seen.
 */
export function formatBar(counts: TaskCounts, warnings: number, width: number, style: Style): string {
  const marks = countMarks(counts, warnings);
  const total = marks.reduce((sum, { count }) => sum + count, 0);
  if (total === 0 || width <= 0) return "";
  const cells = marks.map(({ count }) => Math.max(1, Math.floor((count / total) * width)));
  // What rounding left over, or took too much, is the widest part's.
  const widest = cells.indexOf(Math.max(...cells));
  const used = cells.reduce((sum, cell) => sum + cell, 0);
  cells[widest] = Math.max(0, (cells[widest] ?? 0) + width - used);
  return marks
    .map(({ mark }, index) => {
      const waits = mark === "queued" || mark === "pending";
      const block = waits ? "░" : mark === "running" ? "▒" : "█";
      return style(markLooks[mark].color, block.repeat(cells[index] ?? 0));
    })
    .join("");
}
