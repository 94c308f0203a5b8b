import { type MouseEvent, memo } from "react";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { plural } from "../../shared/domain/format.ts";
import type { TextFinder } from "./find-text.ts";
import type { LogSection } from "./log-model.ts";
import { LogText } from "./log-text.tsx";
import { rowHeightPx } from "./row-window.ts";

interface SectionHeadProps {
  section: LogSection;
  /** Lines that come are not followed: too many others are. */
  isLeftOut: boolean;
  onFold: (folded: boolean) => void;
}

/** The head of the log of one step or service, which folds it. */
export function SectionHead({ section, isLeftOut, onFold }: SectionHeadProps) {
  const length = section.lines === 0 ? "printed nothing" : plural(section.lines, "line");
  const leftOut = isLeftOut ? ["not followed while others before it are open"] : [];
  return (
    <button
      type="button"
      className="log-head"
      aria-expanded={!section.folded}
      style={{ height: rowHeightPx }}
      onClick={() => onFold(!section.folded)}
    >
      <span aria-hidden="true">{section.folded ? "▸" : "▾"}</span> {section.title}
      <span className="dim"> {[length, ...section.notes, ...leftOut].join(", ")}</span>
    </button>
  );
}

interface LineProps {
  attempt: number;
  logKey: string;
  /** 0-based. */
  number: number;
  line: ApiLogLine | undefined;
  showsTime: boolean;
  isMarked: boolean;
  finder: TextFinder | undefined;
  onPoint: (key: string, line: number, toExtend: boolean) => void;
}

/** One line of a log; its number is a link to it. */
export const LogLine = memo(function LogLine(props: LineProps) {
  const { attempt, logKey, number, line, showsTime, isMarked, finder, onPoint } = props;
  const classes = ["log-line", isMarked ? "log-current" : "", line?.stream === "stderr" ? "log-stderr" : ""];
  const point = (event: MouseEvent) => {
    // A click that opens another tab is the browser's.
    if (event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    onPoint(logKey, number, event.shiftKey);
  };
  return (
    <div className={classes.filter(Boolean).join(" ")}>
      <a
        className="log-number"
        href={`?attempt=${attempt}&line=${logKey}:${number + 1}`}
        // Some fifty of them are in view: keys come to a line by search and link it above the log.
        tabIndex={-1}
        onClick={point}
      >
        {number + 1}
      </a>
      {showsTime && line ? (
        <time className="log-time" dateTime={line.at} title={line.at}>
          {new Date(line.at).toLocaleTimeString("sv-SE")}
        </time>
      ) : null}
      <span className="log-text">{line ? <LogText text={line.text} finder={finder} /> : " "}</span>
    </div>
  );
});
