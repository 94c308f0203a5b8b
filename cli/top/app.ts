import type { ApiClient } from "../../shared/api-client/index.ts";
import { formatDuration } from "../../shared/domain/format.ts";
import { explainError } from "../errors.ts";
import type { Key } from "../terminal/keys.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { Style, StyleName } from "../terminal/style.ts";
import { pad, textWidth, truncate } from "../terminal/text.ts";
import { truncateMiddle } from "./columns.ts";
import { staleMs } from "./contact.ts";
import { createHelp } from "./help.ts";
import { createConfirm, createTextPrompt, type Prompt } from "./prompt.ts";
import type { App, Hint, View } from "./view.ts";

/** Drawings happen at most this often, whatever comes in. */
const frameMs = 100;
/** Times that pass are drawn this often when nothing comes in. */
const tickMs = 1_000;
/** Less room than this shows nothing that is of use. */
const smallest = { columns: 40, rows: 10 };

/** What the views are shown on and by. */
export interface TopOptions {
  api: ApiClient;
  now(): number;
  style: Style;
  /** The terminal as it is now. */
  size(): { columns: number; rows: number };
  draw(lines: readonly string[]): void;
  suspend(): void;
}

/** How it came to its end. */
export type TopEnd = { kind: "quit" } | { kind: "interrupted" } | { kind: "failed"; error: unknown };

/** The views, one above the other, with what is around them: the first line, questions and answers, the last line. */
export class Top implements App {
  readonly api: ApiClient;
  readonly #options: TopOptions;
  readonly #views: View[] = [];
  readonly #end = Promise.withResolvers<TopEnd>();
  #prompt: Prompt | undefined;
  #said: { text: string; color: StyleName | undefined } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastFrameMs = 0;
  #isDirty = false;
  #isOver = false;

  constructor(options: TopOptions) {
    this.#options = options;
    this.api = options.api;
  }

  /** Resolves when somebody has had enough, or it cannot go on. */
  get ended(): Promise<TopEnd> {
    return this.#end.promise;
  }

  now(): number {
    return this.#options.now();
  }

  open(view: View): void {
    this.#views.push(view);
    this.#said = undefined;
    this.redraw();
  }

  say(text: string, color?: StyleName): void {
    this.#said = { text: oneLine(text), color };
    this.redraw();
  }

  confirm(question: string, act: () => Promise<void>): void {
    this.#said = undefined;
    this.#prompt = createConfirm(oneLine(question), (isYes) => {
      if (!isYes) return this.say("nothing was done");
      // What is refused is told in the API's words; nothing of it ends the view.
      act().catch((error: unknown) => this.say(explainError(error).message, "red"));
    });
    this.redraw();
  }

  ask(label: string, text: string, onText: (text: string, isEntered: boolean) => void): void {
    this.#said = undefined;
    this.#prompt = createTextPrompt(label, text, onText);
    this.redraw();
  }

  fail(error: unknown): void {
    this.#finish({ kind: "failed", error });
  }

  /** Ends as by Ctrl-C. */
  interrupt(): void {
    this.#finish({ kind: "interrupted" });
  }

  #finish(end: TopEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const view of this.#views) view.close();
    this.#end.resolve(end);
  }

  /** Takes a key: the question that is asked comes first, then what every view knows, then the view. */
  press(key: Key): void {
    if (this.#isOver) return;
    // Keys that come faster than drawings act on what they have led to.
    if (this.#isDirty) this.render();
    const view = this.#views.at(-1);
    if (key.name === "ctrl-z") this.#options.suspend();
    // Nobody answers a question, or acts on a row, that is not seen.
    else if (this.#isTooSmall) {
      if (key.name === "ctrl-c") this.interrupt();
      else if (key.name === "q") this.#finish({ kind: "quit" });
    } else if (this.#prompt) {
      const prompt = this.#prompt;
      if (prompt.press(key) && this.#prompt === prompt) this.#prompt = undefined;
    } else if (key.name === "ctrl-c") this.interrupt();
    else if (key.name === "q") this.#finish({ kind: "quit" });
    else if (key.name === "?" && view && view.help.length > 0) this.open(createHelp(view));
    // Text that was pasted must not cancel anything.
    else if (key.name !== "paste" && view) {
      this.#said = undefined;
      const isTaken = view.press(key);
      if (!isTaken && (key.name === "escape" || key.name === "backspace")) this.#back();
    }
    this.redraw();
  }

  #back(): void {
    if (this.#views.length > 1) this.#views.pop()?.close();
  }

  redraw(): void {
    if (this.#isOver) return;
    this.#isDirty = true;
    clearTimeout(this.#timer);
    const waitMs = Math.max(0, frameMs - (performance.now() - this.#lastFrameMs));
    this.#timer = setTimeout(() => this.drawNow(), waitMs);
  }

  /** Draws at once, such as on a terminal of another size. */
  drawNow(): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#lastFrameMs = performance.now();
    this.#options.draw(this.render());
    this.#timer = setTimeout(() => this.drawNow(), tickMs);
  }

  /** The whole screen. */
  render(): string[] {
    this.#isDirty = false;
    const { style } = this.#options;
    const { columns: width, rows } = this.#options.size();
    const view = this.#views.at(-1);
    if (this.#isTooSmall) {
      const needed = `needed: ${smallest.columns} × ${smallest.rows}`;
      return [`too small: ${width} × ${rows}`, needed, "q quits"].map((line) => truncate(line, width)).slice(0, rows);
    }
    if (!view) return [];
    const height = rows - 3;
    const body = view.render({ width, height, nowMs: this.now(), style });
    const filled = Array.from({ length: height }, (_, index) => body[index] ?? "");
    return [this.#renderFirst(view, width), ...filled, this.#renderSaid(width), renderHints(view.hints, width, style)];
  }

  get #isTooSmall(): boolean {
    const { columns, rows } = this.#options.size();
    return columns < smallest.columns || rows < smallest.rows;
  }

  #renderFirst(view: View, width: number): string {
    const { style } = this.#options;
    const state = this.#describeContact();
    const right = state ?? this.api.url.replace(/^https?:\/\//, "");
    const shownRight = truncate(right, Math.max(10, Math.floor(width / 2)));
    const name = "sluice top";
    const room = width - textWidth(shownRight) - textWidth(name) - 3;
    const title = pad(truncate(` › ${oneLine(view.title)}`, room), room);
    return `${style("bold", name)}${title} ${state === undefined ? style("dim", shownRight) : style(["bold", "yellow"], shownRight)}`;
  }

  /** Says since when what is shown is out of date: what has ended has no stream that tells, the views below have. */
  #describeContact(): string | undefined {
    const since = this.#views.flatMap(({ contacts }) => contacts).flatMap(({ lostSinceMs }) => lostSinceMs ?? []);
    const lostForMs = this.now() - Math.min(...since);
    return since.length > 0 && lostForMs >= staleMs
      ? `contact lost for ${formatDuration(lostForMs)}, trying again`
      : undefined;
  }

  #renderSaid(width: number): string {
    const { style } = this.#options;
    if (this.#prompt) {
      const { text, answers } = this.#prompt;
      return style("bold", `${truncateMiddle(text, width - textWidth(answers))}${answers}`);
    }
    if (!this.#said) return "";
    const text = truncate(this.#said.text, width);
    return this.#said.color === undefined ? text : style(this.#said.color, text);
  }
}

const everyViewHints: readonly Hint[] = [
  ["?", "help"],
  ["q", "quit"],
];

/** As many hints as there is room for; how to get help and out is always said. */
function renderHints(hints: readonly Hint[], width: number, style: Style): string {
  const shown: Hint[] = [];
  const columnsOf = (list: readonly Hint[]) =>
    list.reduce((sum, [key, does]) => sum + textWidth(key) + textWidth(does) + 3, -2);
  for (const hint of hints) {
    if (columnsOf([...shown, hint, ...everyViewHints]) <= width) shown.push(hint);
  }
  return [...shown, ...everyViewHints].map(([key, does]) => `${style("bold", key)} ${style("dim", does)}`).join("  ");
}
