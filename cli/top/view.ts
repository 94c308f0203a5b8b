import type { ApiClient } from "../../shared/api-client/index.ts";
import type { Key } from "../terminal/keys.ts";
import type { Style, StyleName } from "../terminal/style.ts";
import type { Contact } from "./contact.ts";

/** Room and circumstances of one drawing. */
export interface Frame {
  width: number;
  height: number;
  nowMs: number;
  style: Style;
}

/** A key and what it does, as the last line and the help tell it. */
export type Hint = readonly [key: string, does: string];

/** What fills the screen between its first line and its last two. */
export interface View {
  /** What it is about, for the first line. */
  readonly title: string;
  /** Keys that are worth a place in the last line, the most important first. */
  readonly hints: readonly Hint[];
  /** All keys, for the help. */
  readonly help: readonly Hint[];
  /** How up to date it is. */
  readonly contacts: readonly Contact[];
  /** At most `frame.height` lines, none wider than `frame.width`. */
  render(frame: Frame): string[];
  /** A key was pressed; false where it means nothing here. */
  press(key: Key): boolean;
  /** Ends what it has under way. */
  close(): void;
}

/** What a view may do with the screen that it is on. */
export interface App {
  readonly api: ApiClient;
  now(): number;
  /** Something has changed that may be seen. */
  redraw(): void;
  open(view: View): void;
  /** Tells something in the line above the last until the next is told. */
  say(text: string, color?: StyleName): void;
  /** Asks whether to do something; everything but `y` means no. */
  confirm(question: string, act: () => Promise<void>): void;
  /** Asks for a text, told as it is typed and once it is entered; Escape tells an empty one. */
  ask(label: string, text: string, onText: (text: string, isEntered: boolean) => void): void;
  /** What cannot be outlasted: ends everything with an error. */
  fail(error: unknown): void;
}
