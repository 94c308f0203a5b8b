import { useNavigate } from "@tanstack/react-router";
import { type MouseEvent, useEffect, useMemo, useRef, useState } from "react";
import type { TaskView } from "../../shared/api-client/job-view.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { markTask, type TaskMark } from "../../shared/domain/task-mark.ts";
import { useDark } from "../app/theme.ts";
import { nameMark } from "../ui/state.tsx";

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

const marks: readonly TaskMark[] = [
  "pending",
  "queued",
  "running",
  "completed",
  "failures",
  "failed",
  "timed_out",
  "skipped",
  "aborted",
];

/** Colours of the states as the style sheets have them now. */
function readColors(element: Element): Record<TaskMark, string> {
  const style = getComputedStyle(element);
  return Object.fromEntries(marks.map((mark) => [mark, style.getPropertyValue(`--state-${mark}`)])) as Record<
    TaskMark,
    string
  >;
}

/**
 * Every task of the job as a cell in the colour of its state; what failed stands out by its shape too. Drawn, since ten
 * thousand elements would be slow to change: the table below it says the same in words.
 */
export function TaskMap({ job, tasks, total }: { job: string; tasks: readonly TaskView[]; total: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [hovered, setHovered] = useState<TaskView>();
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
    const element = canvas.current;
    if (element && width > 0) drawCells(element, tasks, width, grid);
  }, [tasks, width, grid, isDark]);

  const find = (event: MouseEvent<HTMLCanvasElement>): TaskView | undefined => {
    const box = event.currentTarget.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / (size + gap));
    const row = Math.floor((event.clientY - box.top) / (size + gap));
    return column < columns ? tasks[row * columns + column] : undefined;
  };
  const label = `${formatNumber(tasks.length)} tasks by state; the table below lists them`;
  return (
    <div className="task-map">
      <canvas
        ref={canvas}
        role="img"
        aria-label={label}
        onMouseMove={(event) => setHovered(find(event))}
        onMouseLeave={() => setHovered(undefined)}
        onClick={(event) => {
          const task = find(event);
          if (task) void navigate({ to: "/jobs/$job/tasks/$task", params: { job, task: task.task } });
        }}
      />
      <p className="task-map-note dim" aria-hidden="true">
        {hovered ? `${hovered.task}: ${nameMark(markTask(hovered.status, hovered.warning))}` : " "}
      </p>
    </div>
  );
}

function drawCells(canvas: HTMLCanvasElement, tasks: readonly TaskView[], width: number, grid: Grid): void {
  const { size, gap, columns, height } = grid;
  const ratio = window.devicePixelRatio;
  const context = canvas.getContext("2d");
  if (!context) return;
  // A canvas that is given a size is a new one, which is slow for every frame.
  if (canvas.width !== Math.floor(width * ratio) || canvas.height !== Math.floor(height * ratio)) {
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const colors = readColors(canvas);
  tasks.forEach((task, index) => {
    const mark = markTask(task.status, task.warning);
    const x = (index % columns) * (size + gap);
    const y = Math.floor(index / columns) * (size + gap);
    context.fillStyle = colors[mark];
    const isHollow = mark === "pending" || mark === "queued";
    if (isHollow) {
      context.globalAlpha = mark === "pending" ? 0.35 : 0.7;
      context.fillRect(x + size / 4, y + size / 4, size / 2, size / 2);
      context.globalAlpha = 1;
    } else context.fillRect(x, y, size, size);
    if (mark === "failed" || mark === "timed_out") {
      context.clearRect(x + size * 0.38, y + size * 0.38, size * 0.24, size * 0.24);
    }
  });
}
