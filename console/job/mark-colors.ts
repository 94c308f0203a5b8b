import type { TaskMark } from "../../shared/domain/task-mark.ts";

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
export function readColors(element: Element): Record<TaskMark, string> {
  const style = getComputedStyle(element);
  const entries = marks.map((mark) => [mark, style.getPropertyValue(`--state-${mark}`)]);
  return Object.fromEntries(entries) as Record<TaskMark, string>;
}

/** Makes a canvas so large, in pixels of the page, sharp on any screen; true where it was not: it is empty then. */
export function sizeCanvas(canvas: HTMLCanvasElement, width: number, height: number): boolean {
  const ratio = window.devicePixelRatio;
  const [wide, high] = [Math.floor(width * ratio), Math.floor(height * ratio)];
  if (canvas.width === wide && canvas.height === high) return false;
  // A canvas that is given a size is a new one, which is slow for every frame.
  canvas.width = wide;
  canvas.height = high;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  return true;
}
