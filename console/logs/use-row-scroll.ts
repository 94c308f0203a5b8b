import { type RefObject, useEffect, useRef, useState } from "react";
import { isScaled, moveTop, type RowGeometry, rowHeightPx } from "./row-window.ts";

/** Of what a wheel asks for, so much is done with each frame; less than `jumpPx` is done at once. */
const shareOfFrame = 0.35;
const jumpPx = 24;
const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");

/** How far each key moves, in pixels of text. */
const keyMoves: Readonly<Record<string, (heightPx: number) => number>> = {
  ArrowDown: () => 2 * rowHeightPx,
  ArrowUp: () => -2 * rowHeightPx,
  PageDown: (heightPx) => heightPx - 2 * rowHeightPx,
  PageUp: (heightPx) => 2 * rowHeightPx - heightPx,
  " ": (heightPx) => heightPx - 2 * rowHeightPx,
};

interface ScrollPlace {
  topPx: number;
  heightPx: number;
}

/**
 * Where a scroller of rows is, and its height. Where its bar moves by anything but the rows that it passes, wheel and
 * keys are taken over: they move by the text that is seen, which is less than a pixel of the bar of a long log.
 */
export function useRowScroll(
  scroller: RefObject<HTMLElement | null>,
  drawn: RefObject<HTMLElement | null>,
  rows: number,
  wraps: boolean,
): ScrollPlace {
  const [place, setPlace] = useState<ScrollPlace>({ topPx: 0, heightPx: 0 });
  const shape = useRef({ rows, wraps });
  shape.current = { rows, wraps };
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    let exactPx = element.scrollTop;
    let pendingPx = 0;
    let frame: number | undefined;
    const look = () => {
      if (Math.abs(element.scrollTop - exactPx) > 1) exactPx = element.scrollTop;
      const next = { topPx: exactPx, heightPx: element.clientHeight };
      setPlace((before) => (before.topPx === next.topPx && before.heightPx === next.heightPx ? before : next));
    };
    const geometry = (): RowGeometry => ({ ...shape.current, heightPx: element.clientHeight });
    const moveBy = (byPx: number) => {
      const heights = [...(drawn.current?.children ?? [])].map((row) => row.getBoundingClientRect().height);
      exactPx = moveTop(exactPx, byPx, geometry(), heights);
      element.scrollTop = exactPx;
      look();
    };
    const step = () => {
      const byPx = Math.abs(pendingPx) < jumpPx || reducedMotion.matches ? pendingPx : pendingPx * shareOfFrame;
      pendingPx -= byPx;
      frame = pendingPx === 0 ? undefined : requestAnimationFrame(step);
      moveBy(byPx);
    };
    const move = (byPx: number) => {
      pendingPx += byPx;
      frame ??= requestAnimationFrame(step);
    };
    const onWheel = (event: WheelEvent) => {
      if (event.ctrlKey || event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
      if (!isScaled(geometry())) return;
      event.preventDefault();
      const unitPx = event.deltaMode === 0 ? 1 : event.deltaMode === 1 ? rowHeightPx : element.clientHeight;
      move(event.deltaY * unitPx);
    };
    const onKey = (event: KeyboardEvent) => {
      const moves = event.target === element && !event.ctrlKey && !event.metaKey ? keyMoves[event.key] : undefined;
      if (!moves || !isScaled(geometry())) return;
      event.preventDefault();
      move(moves(element.clientHeight) * (event.key === " " && event.shiftKey ? -1 : 1));
    };
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    element.addEventListener("wheel", onWheel, { passive: false });
    element.addEventListener("keydown", onKey);
    return () => {
      observer.disconnect();
      if (frame !== undefined) cancelAnimationFrame(frame);
      element.removeEventListener("scroll", look);
      element.removeEventListener("wheel", onWheel);
      element.removeEventListener("keydown", onKey);
    };
  }, [scroller, drawn]);
  return place;
}
