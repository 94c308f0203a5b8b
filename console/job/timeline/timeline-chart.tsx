import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import { useDark } from "../../app/theme.ts";
import { Button } from "../../ui/button.tsx";
import { nameMark, StateIcon } from "../../ui/state.tsx";
import { readColors } from "../mark-colors.ts";
import type { Bar } from "./bars.ts";
import { axisHeight, describeBar, drawTimeline, isBar, type Paint, shortenWorker } from "./draw.ts";
import { type Lane, type PlacedRow, placeLanes } from "./lanes.ts";
import { findBar } from "./pieces.ts";
import { fitWindow, useWindow } from "./use-window.ts";

const labelWidth = 92;
const longestPx = 520;
const reachPx = 4;
/** A pointer that moved no further than this has clicked. */
const clickPx = 4;
const zoomStep = 1.6;
const usage = "Point at a bar, or press arrow keys in the chart; drag to move, Ctrl and wheel to zoom.";

interface ChartProps {
  job: string;
  lanes: readonly Lane[];
  nowMs: number;
  createdAtMs: number;
  label: string;
  /** What is told where no attempt is looked at, instead of how to look at one. */
  hint: string | undefined;
}

/** The lanes, drawn: ten thousand elements would be too many. With keys, every attempt can be reached one by one. */
export function TimelineChart({ job, lanes, nowMs, createdAtMs, label, hint }: ChartProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const drag = useRef<{ x: number; moved: boolean }>(undefined);
  const width = useWidth(scroller);
  const paint = usePaint(canvas);
  const [scrollTop, setScrollTop] = useState(0);
  const [looked, setLooked] = useState<Bar>();
  const navigate = useNavigate();
  const placement = placeLanes(lanes, longestPx);
  const time = useWindow(fitWindow(lanes, createdAtMs, nowMs));
  const chartWidth = Math.max(50, width - labelWidth);
  const scale = {
    fromMs: time.shown.fromMs,
    msPerPx: (time.shown.toMs - time.shown.fromMs) / chartWidth,
    width: chartWidth,
  };
  const height = Math.min(placement.height, longestPx);
  const bar = looked && findKnown(placement.rows, looked)?.bar;

  useEffect(() => {
    if (!canvas.current || !paint || width === 0) return;
    const scene = { placement, scale, originMs: createdAtMs, nowMs, scrollTop, height, labelWidth, selected: bar };
    drawTimeline(canvas.current, paint, scene);
  });

  const timeAt = (clientX: number) => {
    const left = canvas.current?.getBoundingClientRect().left ?? 0;
    return scale.fromMs + (clientX - left - labelWidth) * scale.msPerPx;
  };
  const barAt = ({ clientX, clientY }: { clientX: number; clientY: number }) => {
    const y = clientY - (canvas.current?.getBoundingClientRect().top ?? 0) - axisHeight + scrollTop;
    const row = placement.rows.find(({ top }) => y >= top && y < top + placement.rowHeight);
    return row && findBar(row.bars, timeAt(clientX), reachPx * scale.msPerPx, nowMs);
  };
  const open = (chosen: Bar | undefined) => {
    if (!chosen) return;
    const { task, attempt } = chosen;
    void navigate({ to: "/jobs/$job/tasks/$task", params: { job, task }, search: { attempt } });
  };
  const zoom = useRef(time.zoom);
  zoom.current = time.zoom;
  useWheel(canvas, (event) => zoom.current(event.deltaY > 0 ? zoomStep : 1 / zoomStep, timeAt(event.clientX)));

  const onPointerMove = (event: PointerEvent) => {
    const from = drag.current;
    if (!from) return setLooked(barAt(event));
    const byPx = event.clientX - from.x;
    if (!from.moved && Math.abs(byPx) < clickPx) return;
    drag.current = { x: event.clientX, moved: true };
    time.pan(-byPx * scale.msPerPx);
  };
  const onPointerUp = (event: PointerEvent) => {
    const wasClick = drag.current?.moved === false;
    drag.current = undefined;
    if (wasClick) open(barAt(event));
  };
  const look = (next: Bar | undefined) => {
    if (!next) return;
    setLooked(next);
    const row = findKnown(placement.rows, next)?.row;
    const box = scroller.current;
    if (row && box && (row.top < box.scrollTop || row.top + placement.rowHeight > box.scrollTop + height)) {
      box.scrollTop = row.top - height / 2;
    }
    const middleMs = (next.startMs + (next.endMs ?? nowMs)) / 2;
    if (middleMs < scale.fromMs || middleMs > time.shown.toMs) {
      time.pan(middleMs - (time.shown.fromMs + time.shown.toMs) / 2);
    }
  };
  const press = (key: string): boolean => {
    if (key === "ArrowRight") look(step(placement.rows, bar, 1));
    else if (key === "ArrowLeft") look(step(placement.rows, bar, -1));
    else if (key === "ArrowDown") look(changeRow(placement.rows, bar, 1));
    else if (key === "ArrowUp") look(changeRow(placement.rows, bar, -1));
    else if (key === "Enter") open(bar);
    else if (key === "+") time.zoom(1 / zoomStep, bar?.startMs);
    else if (key === "-") time.zoom(zoomStep, bar?.startMs);
    else if (key === "0") time.fitAll();
    else return false;
    return true;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!press(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <section className="timeline" aria-label="Timeline">
      <div className="timeline-head">
        <Legend />
        <span className="grow" />
        <Button aria-label="Zoom in" onClick={() => time.zoom(1 / zoomStep)}>
          +
        </Button>
        <Button aria-label="Zoom out" disabled={time.isFit} onClick={() => time.zoom(zoomStep)}>
          −
        </Button>
        <Button disabled={time.isFit} onClick={time.fitAll}>
          Show all
        </Button>
      </div>
      <div
        ref={scroller}
        className="timeline-scroll"
        style={{ height: height + axisHeight }}
        onScroll={({ currentTarget }) => setScrollTop(currentTarget.scrollTop)}
      >
        <div style={{ height: placement.height + axisHeight }}>
          {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: its keys are told, and the table says the same */}
          <canvas
            ref={canvas}
            className={bar ? "timeline-canvas timeline-hit" : "timeline-canvas"}
            tabIndex={0}
            role="application"
            aria-label={`${label}. Arrow keys go from attempt to attempt, Enter opens one, plus and minus zoom; the table below lists the workers.`}
            aria-describedby="timeline-note"
            onPointerDown={(event) => {
              drag.current = { x: event.clientX, moved: false };
              event.currentTarget.setPointerCapture(event.pointerId);
            }}
            onPointerMove={onPointerMove}
            onPointerUp={onPointerUp}
            onPointerCancel={() => {
              drag.current = undefined;
            }}
            onPointerLeave={() => setLooked(undefined)}
            onKeyDown={onKeyDown}
            onBlur={() => setLooked(undefined)}
          />
        </div>
      </div>
      <p className="timeline-note" id="timeline-note" aria-live="polite">
        {bar ? (
          <>
            <StateIcon mark={bar.mark} /> <strong>{bar.task}</strong> attempt {bar.attempt}{" "}
            {bar.mark === "queued" ? "given back" : nameMark(bar.mark)} on {shortenWorker(bar.workerId)}:{" "}
            <span className="number">{describeBar(bar, nowMs)}</span>
          </>
        ) : (
          <span className="dim">{hint ?? usage}</span>
        )}
      </p>
    </section>
  );
}

function Legend() {
  return (
    <ul className="timeline-legend">
      <li>
        <i className="legend legend-queue" /> queued
      </li>
      <li>
        <i className="legend legend-lease" /> getting ready
      </li>
      <li>
        <i className="legend legend-run" /> running
      </li>
      <li>
        <i className="legend legend-upload" /> storing output
      </li>
      <li>
        <i className="legend legend-failed" /> failed
      </li>
    </ul>
  );
}

function findKnown(rows: readonly PlacedRow[], wanted: Bar): { row: PlacedRow; index: number; bar: Bar } | undefined {
  for (const row of rows) {
    if (row.lane.workerId !== wanted.workerId) continue;
    const index = row.bars.findIndex(isBar(wanted));
    const bar = row.bars[index];
    if (bar) return { row, index, bar };
  }
  return undefined;
}

function step(rows: readonly PlacedRow[], from: Bar | undefined, by: 1 | -1): Bar | undefined {
  const place = from && findKnown(rows, from);
  return place ? place.row.bars[place.index + by] : rows[0]?.bars[0];
}

function changeRow(rows: readonly PlacedRow[], from: Bar | undefined, by: 1 | -1): Bar | undefined {
  const place = from && findKnown(rows, from);
  if (!place) return rows[0]?.bars[0];
  const next = rows[rows.indexOf(place.row) + by];
  return next && findBar(next.bars, place.bar.startMs, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
}

function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!element.current) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

function usePaint(canvas: { current: HTMLCanvasElement | null }): Paint | undefined {
  const isDark = useDark();
  const [paint, setPaint] = useState<Paint>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are of the theme
  useEffect(() => {
    if (!canvas.current) return;
    const style = getComputedStyle(canvas.current);
    const read = (name: string) => style.getPropertyValue(name);
    setPaint({
      marks: readColors(canvas.current),
      text: read("--text"),
      dim: read("--dim"),
      line: read("--line"),
      background: read("--bg"),
      stripe: read("--bg-sub"),
      font: `12px ${style.fontFamily}`,
    });
  }, [canvas, isDark]);
  return paint;
}

/** The wheel with Ctrl (and what a trackpad makes of a pinch): a listener that the browser waits for, unlike React's. */
function useWheel(element: { current: HTMLElement | null }, onZoom: (event: WheelEvent) => void): void {
  const latest = useRef(onZoom);
  latest.current = onZoom;
  useEffect(() => {
    const target = element.current;
    const listen = (event: WheelEvent) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      latest.current(event);
    };
    target?.addEventListener("wheel", listen, { passive: false });
    return () => target?.removeEventListener("wheel", listen);
  }, [element]);
}
