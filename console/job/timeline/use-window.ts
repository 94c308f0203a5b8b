import { useState } from "react";
import type { Lane } from "./lanes.ts";

/** A span of time that is looked at. */
export interface TimeWindow {
  fromMs: number;
  toMs: number;
}

const leastMs = 20;
/** Of what is shown, at most, from the submission to the first attempt: a pool may have had to start first. */
const mostWait = 0.25;

/** All of the job: from its submission, unless that is long before anything happened, until now. */
export function fitWindow(lanes: readonly Lane[], createdAtMs: number, nowMs: number): TimeWindow {
  const firstMs = Math.min(...lanes.map(({ rows }) => rows[0]?.[0]?.startMs ?? nowMs));
  const spanMs = Math.max(leastMs, nowMs - firstMs);
  const fromMs = Math.max(Math.min(createdAtMs, firstMs), firstMs - spanMs * (mostWait / (1 - mostWait)));
  return { fromMs, toMs: nowMs + (nowMs - fromMs) * 0.01 };
}

/** What of a fit is looked at: all of it, also as it grows, until somebody zooms. */
export function useWindow(fit: TimeWindow) {
  const [chosen, setChosen] = useState<TimeWindow>();
  const shown = chosen ?? fit;
  const set = (fromMs: number, spanMs: number) => {
    const whole = fit.toMs - fit.fromMs;
    if (spanMs >= whole) return setChosen(undefined);
    const span = Math.max(leastMs, spanMs);
    const from = Math.min(Math.max(fromMs, fit.fromMs), fit.toMs - span);
    setChosen({ fromMs: from, toMs: from + span });
  };
  return {
    shown,
    isFit: chosen === undefined,
    fitAll: () => setChosen(undefined),
    /** Shows a longer or shorter span, around a time that stays where it is. */
    zoom: (factor: number, aroundMs = (shown.fromMs + shown.toMs) / 2) => {
      set(aroundMs - (aroundMs - shown.fromMs) * factor, (shown.toMs - shown.fromMs) * factor);
    },
    pan: (byMs: number) => {
      if (chosen) set(shown.fromMs + byMs, shown.toMs - shown.fromMs);
    },
  };
}
