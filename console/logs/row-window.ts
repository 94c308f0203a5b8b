import { type RefObject, useEffect, useState } from "react";

/** The height of a row of text; a wrapped one is a multiple of it. */
export const rowHeightPx = 20;
/** Browsers draw nothing beyond some tens of millions of pixels; longer lists move more than a row a step. */
const maxScrollPx = 12_000_000;
const overscanRows = 6;

/** What of a list of rows is in view: the first row, how far it is scrolled out, how many to draw. */
export interface RowWindow {
  first: number;
  count: number;
  offsetPx: number;
  /** Height of what is scrolled. */
  scrollPx: number;
  heightPx: number;
}

/** The part of `rows` rows that a scroller shows; each step of its bar is a row, however high that is. */
export function useRowWindow(scroller: RefObject<HTMLElement | null>, rows: number): RowWindow {
  const [{ topPx, heightPx }, setPlace] = useState({ topPx: 0, heightPx: 0 });
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const look = () => setPlace({ topPx: element.scrollTop, heightPx: element.clientHeight });
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, [scroller]);
  const { scrollPx, pxPerRow } = measureScroll(rows);
  const at = topPx / pxPerRow;
  const first = Math.max(0, Math.min(rows - 1, Math.floor(at)));
  const count = Math.min(rows - first, Math.ceil(heightPx / rowHeightPx) + overscanRows);
  return { first, count: Math.max(0, count), offsetPx: (at - first) * rowHeightPx, scrollPx, heightPx };
}

function measureScroll(rows: number): { scrollPx: number; pxPerRow: number } {
  const scrollPx = Math.min(maxScrollPx, rows * rowHeightPx);
  return { scrollPx, pxPerRow: rows === 0 ? rowHeightPx : scrollPx / rows };
}

/** Where a scroller has to be so that a row stands a third down its view. */
export function scrollTopOf(row: number, rows: number, heightPx: number): number {
  return Math.max(0, row * measureScroll(rows).pxPerRow - heightPx / 3);
}
