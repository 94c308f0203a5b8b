import {
  type RefObject,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { api } from "../api/client.ts";
import { useKept } from "../app/kept.ts";
import { Button } from "../ui/button.tsx";
import { explainError } from "../ui/error-panel.tsx";
import { Downloads, LinkedChip, SearchField, Toggle } from "./log-bar.tsx";
import { LogLine, SectionHead } from "./log-line.tsx";
import { extendLink, formatLink, parseLink } from "./log-link.ts";
import { LogModel, type LogRow, type LogSection } from "./log-model.ts";
import { countInView, type RowGeometry, rowHeightPx, scrollHeight, topOf, windowAt } from "./row-window.ts";
import { useFollow } from "./use-follow.ts";
import { useLogSearch } from "./use-log-search.ts";
import { useRowScroll } from "./use-row-scroll.ts";
import "./logs.css";

const leastHeightPx = 120;

interface LogViewProps {
  job: string;
  task: string;
  attempt: number;
  /** The logs of the attempt as they are known now. */
  sections: readonly LogSection[];
  /** Whether the attempt still writes. */
  isRunning: boolean;
  /** Whether what it printed last may be missing. */
  isEndLost: boolean;
  /** The line that the address names, as `1:42`. */
  linked: string | undefined;
  onLink: (place: string | undefined) => void;
}

/** The logs of one attempt, in full: read as far as they are looked at. */
export function LogView({ job, task, attempt, sections, isRunning, isEndLost, linked, onLink }: LogViewProps) {
  const place = useMemo(() => ({ job, task, attempt }), [job, task, attempt]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what comes later is taken in below
  const model = useMemo(() => new LogModel(api, place, sections), [place]);
  useSyncExternalStore(model.subscribe, model.getVersion);
  useEffect(() => {
    for (const section of sections) model.note(section);
  }, [model, sections]);
  useEffect(() => () => model.close(), [model]);
  const unfollowed = useFollow(model, place, isRunning);

  const scroller = useRef<HTMLDivElement>(null);
  const shifted = useRef<HTMLDivElement>(null);
  const { rows } = model;
  const [isAtEnd, setAtEnd] = useState(isRunning && linked === undefined);
  const [showsTimes, setShowsTimes] = useKept("log.times");
  const [wraps, setWraps] = useKept("log.wrap");
  const { topPx, heightPx } = useRowScroll(scroller, shifted, rows, wraps);
  const geometry: RowGeometry = { rows, heightPx, wraps };
  const view = windowAt(topPx, geometry);
  // Wrapped rows may need more room than there is: at the end the last of them are drawn, and stand at the bottom.
  const isBottomUp = wraps && isAtEnd;
  const first = isBottomUp ? Math.max(0, rows - countInView(heightPx)) : view.first;

  const drawn: LogRow[] = [];
  for (let row = first; row < first + (isBottomUp ? countInView(heightPx) : view.count); row++) {
    const located = model.locate(row);
    if (located) drawn.push(located);
  }
  useEffect(() => model.want(drawn));

  const [target, setTarget] = useState<{ key: string; line: number }>();
  const goTo = (key: string, line: number) => {
    model.fold(key, false);
    setAtEnd(false);
    setTarget({ key, line });
  };
  // Once the rows that lead there are part of what is scrolled.
  useLayoutEffect(() => {
    const element = scroller.current;
    const row = target && model.rowOf(target.key, target.line);
    if (row === undefined || !element || heightPx === 0) return;
    element.scrollTop = topOf(row, { rows, heightPx, wraps }, "third");
    element.scrollIntoView({ block: "nearest" });
    setTarget(undefined);
  }, [target, rows, model, heightPx, wraps]);
  useShift(shifted, { heightPx, part: view.part, wraps, isBottomUp });
  const lastTopPx = useRef(0);
  // With each line that comes.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!isAtEnd || !element) return;
    const nearEnd = rows - countInView(heightPx) / 3;
    element.scrollTop = wraps ? topOf(nearEnd, { rows, heightPx, wraps }, "top") : element.scrollHeight;
    lastTopPx.current = element.scrollTop;
  }, [isAtEnd, rows, heightPx, wraps]);
  /** Who scrolls up, by whatever means, stays there; who comes to the end of what is written follows it. */
  const noteScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const { scrollTop, clientHeight, scrollHeight } = element;
    const movedPx = scrollTop - lastTopPx.current;
    lastTopPx.current = scrollTop;
    const isAtBottom = scrollTop + clientHeight >= scrollHeight - 1;
    if (movedPx < -1 && !isAtBottom) setAtEnd(false);
    if (movedPx > 1 && isAtBottom && isRunning && !wraps) setAtEnd(true);
  };
  /** A line that was pointed at is in view; the view stays as it is. */
  const pointedAt = useRef<string>(undefined);
  const latest = useRef({ linked, onLink });
  latest.current = { linked, onLink };
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each link
  useEffect(() => {
    const lines = parseLink(linked);
    if (lines && linked !== pointedAt.current) goTo(lines.key, lines.first);
  }, [linked]);

  const findTop = () => {
    const top = model.locate(Math.ceil(topPx === 0 ? first : view.first + view.part));
    return top && { key: top.section.key, line: top.line ?? 0 };
  };
  const search = useLogSearch(model, place, { findTop, goTo });
  const found = search.current;
  const marked = found ? { key: found.key, first: found.line, last: found.line } : parseLink(linked);
  const point = useCallback((key: string, line: number, toExtend: boolean) => {
    pointedAt.current = formatLink(extendLink(parseLink(latest.current.linked), key, line, toExtend));
    latest.current.onLink(pointedAt.current);
  }, []);
  const link = (to: string | undefined) => {
    pointedAt.current = to;
    if (to === undefined) search.forget();
    onLink(to);
  };
  return (
    <section className="log" aria-label="Log">
      <div className="log-bar">
        <SearchField search={search} />
        <span className="grow" />
        {marked ? <LinkedChip lines={marked} onLink={link} /> : null}
        <Toggle label="Times" pressed={showsTimes} onToggle={setShowsTimes} />
        <Toggle label="Wrap" pressed={wraps} onToggle={setWraps} />
        <Button onClick={() => setAtEnd(true)} aria-pressed={isAtEnd}>
          {isRunning && isAtEnd ? "Following" : "Jump to end"}
        </Button>
        <Downloads job={job} task={task} attempt={attempt} sections={model.sections} />
      </div>
      {isEndLost ? <p className="log-note">Its worker was lost: what it printed last may be missing.</p> : null}
      {model.error ? (
        <p className="log-problem" role="alert">
          A part of the log could not be read: {explainError(model.error)}
        </p>
      ) : null}
      <div
        ref={scroller}
        className="log-scroll"
        style={isRunning || wraps ? undefined : { maxHeight: Math.max(leastHeightPx, (rows + 2) * rowHeightPx) }}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label="Lines of the log"
        onScroll={noteScroll}
        onWheel={(event) => (event.deltaY < 0 ? setAtEnd(false) : undefined)}
        onKeyDown={(event) => (/^(ArrowUp|PageUp|Home)$/.test(event.key) ? setAtEnd(false) : undefined)}
      >
        <div style={{ height: scrollHeight(geometry) }}>
          <div className={wraps ? "log-rows log-wraps" : "log-rows"} style={{ height: heightPx }}>
            <div ref={shifted} className="log-shift">
              {drawn.map(({ section, line }) =>
                line === undefined ? (
                  <SectionHead
                    key={section.key}
                    section={section}
                    isLeftOut={unfollowed.includes(section.choice.service ?? "")}
                    onFold={(folded) => model.fold(section.key, folded)}
                  />
                ) : (
                  <LogLine
                    key={`${section.key}:${line}`}
                    attempt={attempt}
                    logKey={section.key}
                    number={line}
                    line={model.lineAt(section, line)}
                    showsTime={showsTimes}
                    isMarked={marked?.key === section.key && marked.first <= line && line <= marked.last}
                    finder={search.finder}
                    onPoint={point}
                  />
                ),
              )}
            </div>
          </div>
        </div>
      </div>
    </section>
  );
}

/** Moves what is drawn so far that the first row is out of view by its part, or that the last stands at the bottom. */
function useShift(
  shifted: RefObject<HTMLElement | null>,
  place: { heightPx: number; part: number; wraps: boolean; isBottomUp: boolean },
): void {
  useLayoutEffect(() => {
    const element = shifted.current;
    if (!element) return;
    const { heightPx, part, wraps, isBottomUp } = place;
    const firstPx = wraps ? (element.firstElementChild?.getBoundingClientRect().height ?? 0) : rowHeightPx;
    const shiftPx = isBottomUp ? Math.min(0, heightPx - element.offsetHeight) : -part * firstPx;
    element.style.setProperty("--shift", `${shiftPx}px`);
  });
}
