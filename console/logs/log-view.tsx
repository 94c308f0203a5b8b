import {
  type KeyboardEvent,
  type RefObject,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import type { ApiLogLine } from "../../shared/api/schemas.ts";
import { plural } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import { Button } from "../ui/button.tsx";
import { explainError } from "../ui/error-panel.tsx";
import { LogModel, type LogRow, type LogSection } from "./log-model.ts";
import { LogText } from "./log-text.tsx";
import {
  countInView,
  type RowGeometry,
  rowHeightPx,
  scrollHeight,
  topOf,
  useScrollPlace,
  windowAt,
} from "./row-window.ts";
import { useFollow } from "./use-follow.ts";
import { useLogSearch } from "./use-log-search.ts";
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
  onLink: (place: string) => void;
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
  useFollow(model, place, isRunning);

  const scroller = useRef<HTMLDivElement>(null);
  const shifted = useRef<HTMLDivElement>(null);
  const { rows } = model;
  const [isAtEnd, setAtEnd] = useState(isRunning && linked === undefined);
  const [showsTimes, setShowsTimes] = useState(false);
  const [wraps, setWraps] = useState(false);
  const { topPx, heightPx } = useScrollPlace(scroller);
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
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each link
  useEffect(() => {
    const place = parseLink(linked);
    if (place) goTo(place.key, place.line);
  }, [linked]);

  const search = useLogSearch(model, place, goTo);
  const current = search.current ?? parseLink(linked);
  return (
    <section className="log" aria-label="Log">
      <div className="log-bar">
        <SearchField search={search} />
        <span className="grow" />
        <Toggle label="Times" pressed={showsTimes} onToggle={setShowsTimes} />
        <Toggle label="Wrap" pressed={wraps} onToggle={setWraps} />
        <Button onClick={() => setAtEnd(true)} aria-pressed={isAtEnd}>
          {isRunning ? (isAtEnd ? "Following" : "Follow") : "End"}
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
                    onFold={(folded) => model.fold(section.key, folded)}
                  />
                ) : (
                  <Line
                    key={`${section.key}:${line}`}
                    attempt={attempt}
                    place={`${section.key}:${line + 1}`}
                    line={model.lineAt(section, line)}
                    number={line + 1}
                    showsTime={showsTimes}
                    isCurrent={current?.key === section.key && current.line === line}
                    find={search.wanted}
                    onLink={onLink}
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

/** A link names a log and a line as people count them, from 1. */
function parseLink(linked: string | undefined): { key: string; line: number } | undefined {
  const match = /^([\w-]+):(\d+)$/.exec(linked ?? "");
  return match ? { key: match[1] ?? "", line: Number(match[2]) - 1 } : undefined;
}

function Toggle(props: { label: string; pressed: boolean; onToggle: (pressed: boolean) => void }) {
  return (
    <Button aria-pressed={props.pressed} onClick={() => props.onToggle(!props.pressed)}>
      {props.label}
    </Button>
  );
}

function SearchField({ search }: { search: ReturnType<typeof useLogSearch> }) {
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    search.go(event.shiftKey ? -1 : 1);
  };
  return (
    <search className="log-search">
      <input
        data-search
        type="search"
        placeholder="Search the log"
        aria-label="Search the log"
        value={search.text}
        onChange={({ target }) => search.setText(target.value)}
        onKeyDown={onKey}
      />
      <Button aria-label="Previous match" disabled={search.count === 0} onClick={() => search.go(-1)}>
        ↑
      </Button>
      <Button aria-label="Next match" disabled={search.count === 0} onClick={() => search.go(1)}>
        ↓
      </Button>
      <span className="dim number" role="status">
        {search.says}
      </span>
    </search>
  );
}

function Downloads({ job, task, attempt, sections }: Pick<LogViewProps, "job" | "task" | "attempt" | "sections">) {
  const path = `/v1/jobs/${encodeURIComponent(job)}/tasks/${encodeURIComponent(task)}/logs`;
  const written = sections.filter(({ lines }) => lines > 0);
  if (written.length === 0) return null;
  return (
    <details className="log-downloads">
      <summary className="button">Download</summary>
      <ul>
        {written.map(({ key, title, choice }) => {
          const query = new URLSearchParams({ attempt: String(attempt), format: "text" });
          if (choice.step !== undefined) query.set("step", String(choice.step));
          if (choice.service !== undefined) query.set("service", choice.service);
          return (
            <li key={key}>
              <a href={`${path}?${query}`} download>
                {title}
              </a>
            </li>
          );
        })}
      </ul>
    </details>
  );
}

function SectionHead({ section, onFold }: { section: LogSection; onFold: (folded: boolean) => void }) {
  return (
    <button
      type="button"
      className="log-head"
      aria-expanded={!section.folded}
      style={{ height: rowHeightPx }}
      onClick={() => onFold(!section.folded)}
    >
      <span aria-hidden="true">{section.folded ? "▸" : "▾"}</span> {section.title}
      <span className="dim">
        {" "}
        {[section.lines === 0 ? "printed nothing" : plural(section.lines, "line"), ...section.notes].join(", ")}
      </span>
    </button>
  );
}

interface LineProps {
  attempt: number;
  place: string;
  line: ApiLogLine | undefined;
  number: number;
  showsTime: boolean;
  isCurrent: boolean;
  find: string;
  onLink: (place: string) => void;
}

function Line({ attempt, place, line, number, showsTime, isCurrent, find, onLink }: LineProps) {
  const classes = ["log-line", isCurrent ? "log-current" : "", line?.stream === "stderr" ? "log-stderr" : ""];
  return (
    <div className={classes.join(" ")}>
      <a
        className="log-number"
        href={`?attempt=${attempt}&line=${place}`}
        onClick={(event) => {
          event.preventDefault();
          onLink(place);
        }}
      >
        {number}
      </a>
      {showsTime && line ? (
        <time className="log-time" dateTime={line.at} title={line.at}>
          {new Date(line.at).toLocaleTimeString("sv-SE")}
        </time>
      ) : null}
      <span className="log-text">{line ? <LogText text={line.text} find={find} /> : " "}</span>
    </div>
  );
}
