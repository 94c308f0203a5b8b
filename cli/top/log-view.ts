import { stripVTControlCharacters } from "node:util";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import { isLogEndLost } from "../../shared/domain/lost-log.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import { explainError } from "../errors.ts";
import { cleanForTerminal, lastState } from "../logs/log-printer.ts";
import { cutDressed } from "../terminal/dressed.ts";
import type { Key } from "../terminal/keys.ts";
import { oneLine } from "../terminal/one-line.ts";
import { markLooks } from "../terminal/symbols.ts";
import { truncate } from "../terminal/text.ts";
import { explainReason } from "../watch/task-line.ts";
import { askToCancel, askToRetry } from "./actions.ts";
import type { LogRow } from "./log-buffer.ts";
import { LogFeed } from "./log-feed.ts";
import { marks } from "./marks.ts";
import type { App, Frame, Hint, View } from "./view.ts";

/** Columns that one step to the side moves by. */
const sideStep = 20;
/** What of a line may be looked at, in characters; more is in the file that `sluice logs` writes. */
const longestLine = 20_000;

const help: readonly Hint[] = [
  ["↑ ↓, j k", "line by line"],
  ["PgUp PgDn, Space", "page by page"],
  ["g, Home", "to the first line that is here; there again for what was before"],
  ["G, End", "to the end, and on with it as it grows"],
  ["← →", "to the side"],
  ["/, n, N", "search; the next match, and the one before"],
  ["s", "the log of the next service, and after the last of the steps again"],
  ["t", "times of lines, in UTC"],
  ["c", "cancel the task"],
  ["r", "run the task again"],
];

/** The log of a task, at its end until somebody looks elsewhere. */
export class LogView implements View {
  readonly help = help;
  readonly hints: readonly Hint[] = [
    ["j/k", "scroll"],
    ["G", "end"],
    ["/", "search"],
    ["Esc", "back"],
    ["s", "services"],
    ["t", "times"],
    ["c", "cancel"],
    ["r", "retry"],
  ];
  readonly #app: App;
  readonly #job: string;
  readonly #task: string;
  #feed: LogFeed;
  /** Whose log is shown instead of that of the steps. */
  #service: string | undefined;
  /** Services of the job, once somebody has asked for them. */
  #services: readonly string[] | undefined;
  readonly #run = new AbortController();
  #follows = true;
  #top = 0;
  /** Rows the buffer had given up when `top` was set: it moves with them. */
  #dropped = 0;
  #left = 0;
  #height = 1;
  #hasTimes = false;
  #search = "";
  #found = -1;
  readonly #cuts = new WeakMap<ApiLogLine, { left: number; room: number; text: string }>();

  constructor(app: App, job: string, task: string) {
    this.#app = app;
    this.#job = job;
    this.#task = task;
    this.#feed = this.#openFeed();
  }

  get title(): string {
    return `${this.#job} › ${this.#task} › ${this.#service === undefined ? "" : `${this.#service} › `}log`;
  }

  #openFeed(): LogFeed {
    const { api } = this.#app;
    return new LogFeed({
      ...{ api, job: this.#job, task: this.#task, service: this.#service },
      ...{ now: () => this.#app.now(), onChange: () => this.#app.redraw() },
    });
  }

  get contacts() {
    return [this.#feed.contact];
  }

  close(): void {
    this.#run.abort();
    this.#feed.close();
  }

  press({ name }: Key): boolean {
    const page = Math.max(1, this.#height - 1);
    const moves: Readonly<Record<string, number>> = {
      ...{ up: -1, k: -1, down: 1, j: 1, enter: 1 },
      ...{ pageup: -page, "ctrl-b": -page, pagedown: page, "ctrl-f": page, " ": page },
    };
    const move = moves[name];
    if (move !== undefined) this.#moveTo(this.#top + move);
    else if (name === "home" || name === "g") this.#moveTo(this.#top === 0 ? -1 : 0);
    else if (name === "end" || name === "G") this.#follows = true;
    else if (name === "left") this.#left = Math.max(0, this.#left - sideStep);
    else if (name === "right") this.#left = Math.min(longestLine, this.#left + sideStep);
    else if (name === "s") this.#turnService();
    else if (name === "t") this.#hasTimes = !this.#hasTimes;
    else if (name === "/") this.#ask();
    else if (name === "n" || name === "N") this.#find(name === "n" ? 1 : -1);
    else if (name === "c") askToCancel(this.#app, this.#job, this.#task);
    else if (name === "r") askToRetry(this.#app, this.#job, [this.#task], () => this.#feed.lookAgain());
    else if (name === "escape" && this.#search !== "") this.#forgetSearch();
    else return false;
    return true;
  }

  /** Shows the log of the next service; which there are is asked once. */
  #turnService(): void {
    const { signal } = this.#run;
    if (this.#services !== undefined) {
      this.#showService(this.#services);
      return;
    }
    this.#app.api.getJobSpec(this.#job, { signal }).then(
      ({ spec }) => {
        this.#services ??= Object.keys(spec.services);
        if (!signal.aborted) this.#showService(this.#services);
      },
      (error: unknown) => {
        if (!signal.aborted) this.#app.say(explainError(error).message, "red");
      },
    );
  }

  #showService(services: readonly string[]): void {
    if (services.length === 0) {
      this.#app.say("this job has no services");
      return;
    }
    const at = this.#service === undefined ? -1 : services.indexOf(this.#service);
    this.#service = services[at + 1];
    this.#feed.close();
    this.#feed = this.#openFeed();
    this.#follows = true;
    this.#top = 0;
    this.#dropped = 0;
    this.#left = 0;
    this.#found = -1;
    this.#app.redraw();
  }

  #forgetSearch(): void {
    this.#search = "";
    this.#found = -1;
  }

  #moveTo(top: number): void {
    // Before the first row there may be more; what comes is put above, and the rows that are seen stay.
    if (top < 0) this.#feed.readEarlier();
    const end = Math.max(0, this.#feed.buffer.length - this.#height);
    this.#top = Math.min(end, Math.max(0, top));
    this.#follows = top >= end;
  }

  #ask(): void {
    this.#app.ask("search: ", "", (text, isEntered) => {
      this.#search = text;
      this.#found = -1;
      if (isEntered && text !== "") this.#find(1);
    });
  }

  #find(direction: 1 | -1): void {
    const { buffer } = this.#feed;
    if (this.#search === "") {
      this.#app.say("search with /");
      return;
    }
    const from = this.#found >= 0 ? this.#found : this.#top - direction;
    const found = buffer.find(this.#search, from, direction);
    if (found < 0) {
      this.#app.say(`"${this.#search}" is not in the lines that are here`, "yellow");
      return;
    }
    this.#found = found;
    const isSeen = found >= this.#top && found < this.#top + this.#height;
    this.#moveTo(isSeen ? this.#top : found - Math.floor(this.#height / 2));
    this.#follows = false;
  }

  render(frame: Frame): string[] {
    const { width, height, style } = frame;
    const { buffer } = this.#feed;
    this.#height = Math.max(1, height - 1);
    this.#top -= buffer.dropped - this.#dropped;
    if (this.#found >= 0) this.#found -= buffer.dropped - this.#dropped;
    this.#dropped = buffer.dropped;
    const end = Math.max(0, buffer.length - this.#height);
    this.#top = this.#follows ? end : Math.min(end, Math.max(0, this.#top));
    const rows = buffer.rows(this.#top, this.#height).map((row, index) => {
      return this.#renderRow(row, this.#top + index === this.#found, frame);
    });
    if (rows.length === 0) rows.push("", style("dim", truncate(`  ${this.#explainEmpty()}`, width)));
    return [this.#renderState(frame), ...rows];
  }

  #renderRow(row: LogRow, isFound: boolean, { width, style }: Frame): string {
    if (row.kind === "rule") {
      const attempt = (this.#feed.task?.attempt ?? 1) > 1 ? `attempt ${row.attempt}, ` : "";
      const owner = row.step === undefined ? (this.#service ?? "") : `step ${row.step}`;
      return style("dim", truncate(`── ${attempt}${owner} ${"─".repeat(width)}`, width).replace("…", "─"));
    }
    const time = this.#hasTimes ? `${row.line.at.slice(11, 23)} ` : "";
    const keepsColors = style("red", "x") !== "x";
    const shown = this.#cutLine(row.line, width - time.length, keepsColors);
    return `${style("dim", time)}${isFound ? style("inverse", stripVTControlCharacters(shown) || " ") : shown}`;
  }

  /** What is seen of a line; kept, as cleaning and measuring odd text is slow. */
  #cutLine(line: ApiLogLine, room: number, keepsColors: boolean): string {
    const last = this.#cuts.get(line);
    if (last?.left === this.#left && last.room === room) return last.text;
    const clean = cleanForTerminal(lastState(line.text).slice(0, longestLine), keepsColors, true);
    const text = cutDressed(clean.replaceAll("\n", " "), this.#left, room);
    this.#cuts.set(line, { left: this.#left, room, text });
    return text;
  }

  /** The line above the log: where the task stands, and which part of the log is seen. */
  #renderState({ width, style }: Frame): string {
    const { buffer, task, state, failure } = this.#feed;
    if (!task) return "";
    const match = this.#found < 0 ? "" : `, match in row ${formatNumber(this.#found + 1)}`;
    const row = `row ${formatNumber(this.#top + 1)} of ${formatNumber(buffer.length)}${match}`;
    const end = state === "following" ? "follows the end" : "at the end";
    const place = this.#follows ? end : row;
    const mark = markTask(task.status, task.warning);
    const { label, color } = markLooks[mark];
    const attempt = task.attempt > 1 ? `, attempt ${task.attempt}` : "";
    const why = task.reason && state !== "following" ? `: ${explainReason(task.reason)}` : "";
    const record = task.attempts.at(-1);
    const lost = record && isLogEndLost(record) ? "; the end of this log was lost with its worker" : "";
    const left = truncate(
      `${marks[mark]} ${label}${attempt}${why}${lost}${failure === "" ? "" : `; ${oneLine(failure)}`}`,
      width - place.length - 2,
    );
    return `${style(color, left)}  ${style("dim", place)}`;
  }

  #explainEmpty(): string {
    const { state, task, failure } = this.#feed;
    switch (state) {
      case "loading":
        return "reading …";
      case "failed":
        return oneLine(failure);
      case "following":
        return "nothing has been written yet";
      case "waiting":
        return `not started yet (${task?.status ?? "unknown"})`;
      case "ended":
        return task?.attempt === 0 ? "no log: it ended before it started" : "nothing was written";
    }
  }
}
