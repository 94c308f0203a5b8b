import { useNavigate } from "@tanstack/react-router";
import { type MouseEvent, useEffect, useMemo, useRef, useState } from "react";
import type { TaskView } from "../../shared/api-client/job-view.ts";
import { plural } from "../../shared/domain/format.ts";
import { markTask, type TaskMark } from "../../shared/domain/task-mark.ts";
import { useDark } from "../app/theme.ts";
import { nameMark } from "../ui/state.tsx";
import { readColors, sizeCanvas } from "./mark-colors.ts";

/** Sides of cells and the gaps to the next, in pixels: the largest is taken with which all tasks stay in view. */
const cells = [
  { size: 18, gap: 3 },
  { size: 11, gap: 2 },
  { size: 7, gap: 1 },
  { size: 5, gap: 1 },
  { size: 3, gap: 1 },
] as const;
const longestMapPx = 360;

interface Grid {
  size: number;
  gap: number;
  columns: number;
  height: number;
}

function layOut(total: number, width: number): Grid {
  let grid: Grid = { size: 0, gap: 0, columns: 1, height: 0 };
  for (const { size, gap } of cells) {
    const columns = Math.max(1, Math.floor((width + gap) / (size + gap)));
    grid = { size, gap, columns, height: Math.ceil(total / columns) * (size + gap) };
    if (grid.height <= longestMapPx) break;
  }
  return grid;
}

/**
 * Every task of the job as a cell in the colour of its state; what failed stands out by its shape too. Drawn, since ten
 * thousand elements would be slow to change: the table below it says the same in words.
 */
export function TaskMap({ job, tasks, total }: { job: string; tasks: readonly TaskView[]; total: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useRef<DrawnCells>(undefined);
  const [width, setWidth] = useState(0);
  /** Index of the task that is pointed at: what is known of it changes. */
  const [at, setAt] = useState<number>();
  const navigate = useNavigate();
  const grid = useMemo(() => layOut(total, width), [total, width]);
  const { size, gap, columns } = grid;
  const isDark = useDark();

  useEffect(() => {
    const element = canvas.current?.parentElement;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are of the theme
  useEffect(() => {
    drawn.current = undefined;
  }, [isDark]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are of the theme
  useEffect(() => {
    const element = canvas.current;
    if (element && width > 0) drawn.current = drawCells(element, tasks, total, width, grid, drawn.current);
  }, [tasks, total, width, grid, isDark]);

  const find = (event: MouseEvent<HTMLCanvasElement>): number | undefined => {
    const box = event.currentTarget.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / (size + gap));
    const row = Math.floor((event.clientY - box.top) / (size + gap));
    return column < columns ? row * columns + column : undefined;
  };
  const label = `${plural(tasks.length, "task")} by state; the table below lists them`;
  const hovered = at === undefined ? undefined : tasks[at];
  return (
    <div className="task-map">
      <canvas
        ref={canvas}
        role="img"
        aria-label={label}
        onMouseMove={(event) => setAt(find(event))}
        onMouseLeave={() => setAt(undefined)}
        onClick={(event) => {
          const task = tasks[find(event) ?? -1];
          if (task) void navigate({ to: "/jobs/$job/tasks/$task", params: { job, task: task.task } });
        }}
      />
      <p className="task-map-note dim" aria-hidden="true">
        {hovered ? `${hovered.task}: ${nameMark(markTask(hovered.status, hovered.warning))}` : " "}
      </p>
    </div>
  );
}

/** What a canvas shows: a cell is drawn again only where its task has another mark now. */
interface DrawnCells {
  grid: Grid;
  width: number;
  colors: Record<TaskMark, string>;
  marks: (TaskMark | undefined)[];
}

function drawCells(
  canvas: HTMLCanvasElement,
  tasks: readonly TaskView[],
  total: number,
  width: number,
  grid: Grid,
  before: DrawnCells | undefined,
): DrawnCells {
  const context = canvas.getContext("2d");
  const isNew = sizeCanvas(canvas, width, grid.height) || before?.grid !== grid || before.width !== width;
  const drawn: DrawnCells = isNew || !before ? { grid, width, colors: readColors(canvas), marks: [] } : before;
  if (!context) return drawn;
  const ratio = window.devicePixelRatio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (drawn !== before) context.clearRect(0, 0, width, grid.height);
  const { marks } = drawn;
  for (let index = 0; index < total; index++) {
    const task = tasks[index];
    // Where nothing is known yet there is a cell all the same: nothing moves when it is.
    const mark = task ? markTask(task.status, task.warning) : "pending";
    if (marks[index] === mark) continue;
    marks[index] = mark;
    drawCell(context, mark, drawn.colors[mark], index, grid);
  }
  return drawn;
}

function drawCell(context: CanvasRenderingContext2D, mark: TaskMark, color: string, index: number, grid: Grid): void {
  const { size, gap, columns } = grid;
  const x = (index % columns) * (size + gap);
  const y = Math.floor(index / columns) * (size + gap);
  context.clearRect(x, y, size, size);
  context.fillStyle = color;
  if (mark === "pending" || mark === "queued") {
    context.globalAlpha = mark === "pending" ? 0.35 : 0.7;
    context.fillRect(x + size / 4, y + size / 4, size / 2, size / 2);
    context.globalAlpha = 1;
    return;
  }
  context.fillRect(x, y, size, size);
  if (mark === "failed" || mark === "timed_out") {
    context.clearRect(x + size * 0.38, y + size * 0.38, size * 0.24, size * 0.24);
  }
}
