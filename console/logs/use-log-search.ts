import { useEffect, useMemo, useRef, useState } from "react";
import { formatNumber } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import { explainError } from "../ui/error-panel.tsx";
import { plainText } from "./ansi.ts";
import { createFinder, type TextFinder } from "./find-text.ts";
import type { LogModel } from "./log-model.ts";
import { type Match, maxMatches, type SearchProgress, searchLogs } from "./log-search.ts";

/** A search begins when nothing was typed for so long. */
const pauseMs = 300;
/** How far it has come is told so often. */
const tellMs = 100;

interface Found extends SearchProgress {
  isWhole: boolean;
  error?: Error;
}

interface SearchPlaces {
  /** The first line in view: what is looked for next is from there on. */
  findTop: () => Match | undefined;
  goTo: (key: string, line: number) => void;
}

/** Search through the whole of the logs, and through what comes to them, with a place among what was found. */
export function useLogSearch(
  model: LogModel,
  place: { job: string; task: string; attempt: number },
  { findTop, goTo }: SearchPlaces,
) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(-1);
  const [found, setFound] = useState<Found>();
  const finder = useMemo(() => createFinder(text), [text]);

  useEffect(() => {
    setFound(undefined);
    setAt(-1);
    if (!finder) return;
    const stop = new AbortController();
    const timer = setTimeout(() => void runSearch(model, place, finder, setFound, stop.signal), pauseMs);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [model, place, finder]);

  const matches = found?.matches ?? [];
  const go = (step: 1 | -1) => {
    if (matches.length === 0) return;
    const next = at === -1 ? findNext(model, matches, findTop(), step) : at + step;
    const turned = (next + matches.length) % matches.length;
    setAt(turned);
    const match = matches[turned];
    if (match) goTo(match.key, match.line);
  };
  const current: Match | undefined = matches[at];
  const latest = useRef(go);
  latest.current = go;
  const says = describe(model, found, finder, at);
  return { text, setText, finder, count: matches.length, current, latest, forget: () => setAt(-1), says };
}

async function runSearch(
  model: LogModel,
  place: { job: string; task: string; attempt: number },
  finder: TextFinder,
  tell: (found: Found) => void,
  signal: AbortSignal,
): Promise<void> {
  let last: SearchProgress = { matches: [], searched: new Map(), more: false };
  let error: Error | undefined;
  let toldAt = 0;
  try {
    for await (const progress of searchLogs(api, place, model.sections, finder, signal)) {
      last = progress;
      if (performance.now() - toldAt < tellMs) continue;
      toldAt = performance.now();
      tell({ ...progress, isWhole: false });
    }
  } catch (thrown) {
    if (signal.aborted) return;
    error = thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  if (signal.aborted) return;
  tell({ ...last, isWhole: true, ...(error ? { error } : {}) });
  if (!error && !last.more) watchSearch(model, last, finder, tell, signal);
}

/** Looks through what comes after a search was through: as it is followed, and by reading what was not. */
function watchSearch(
  model: LogModel,
  { matches, searched }: SearchProgress,
  finder: TextFinder,
  tell: (found: Found) => void,
  signal: AbortSignal,
): void {
  const list = [...matches];
  const known = new Map(searched);
  let more = false;
  let isTold = true;
  const report = (error?: Error) => {
    isTold = true;
    const sorted = [...list].sort(byPlace(model));
    tell({ matches: sorted, searched: known, more, isWhole: true, ...(error ? { error } : {}) });
  };
  const look = (key: string, line: number, text: string) => {
    if (more || !finder.isIn(plainText(text))) return;
    more = list.length >= maxMatches;
    if (!more) list.push({ key, line });
    isTold = false;
  };
  const readTo = (key: string, end: number) => {
    const first = known.get(key) ?? 0;
    known.set(key, end);
    const read = async () => {
      for await (const { line, text } of model.readLines(key, first, end, signal)) look(key, line, text);
      if (!isTold) report();
    };
    read().catch((error: unknown) => {
      if (!signal.aborted) report(error instanceof Error ? error : new Error(String(error)));
    });
  };
  const lookForMore = () => {
    for (const { key, lines } of model.sections) if (lines > (known.get(key) ?? 0)) readTo(key, lines);
    if (!isTold) report();
  };
  const stopLines = model.onLine((key, line, text) => {
    const next = known.get(key) ?? 0;
    if (line < next) return;
    if (line > next) readTo(key, line);
    known.set(key, line + 1);
    look(key, line, text);
  });
  const stopLooking = model.subscribe(lookForMore);
  signal.addEventListener("abort", () => {
    stopLines();
    stopLooking();
  });
  lookForMore();
}

/** The order in which matches stand on the page. */
function byPlace(model: LogModel): (one: Match, other: Match) => number {
  const order = new Map(model.sections.map(({ key }, index) => [key, index]));
  const indexOf = ({ key }: Match) => order.get(key) ?? 0;
  return (one, other) => indexOf(one) - indexOf(other) || one.line - other.line;
}

/** The first match from the top of the view on, or the last one before it. */
function findNext(model: LogModel, matches: readonly Match[], top: Match | undefined, step: 1 | -1): number {
  if (!top) return step === 1 ? 0 : -1;
  const compare = byPlace(model);
  const next = matches.findIndex((match) => compare(match, top) >= 0);
  if (step === 1) return next === -1 ? 0 : next;
  return next === -1 ? -1 : next - 1;
}

function describe(
  { sections }: LogModel,
  found: Found | undefined,
  finder: TextFinder | undefined,
  at: number,
): string {
  if (!finder) return "";
  if (!found) return "searching…";
  if (found.error) return `the search broke off: ${explainError(found.error)}`;
  const count = `${formatNumber(found.matches.length)}${found.more ? " and more" : ""}`;
  const place = at >= 0 ? `${formatNumber(at + 1)} of ${count}` : `${count} found`;
  if (found.isWhole) return found.matches.length === 0 ? "not found" : place;
  const lines = sections.reduce((sum, section) => sum + section.lines, 0);
  const looked = [...found.searched.values()].reduce((sum, searched) => sum + searched, 0);
  return `${place}, ${Math.min(99, Math.floor((100 * looked) / Math.max(1, lines)))} % searched`;
}
