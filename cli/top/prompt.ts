import type { Key } from "../terminal/keys.ts";
import { oneLine } from "../terminal/one-line.ts";

/** A question in the line above the last; it takes all keys until it is over. */
export interface Prompt {
  readonly text: string;
  /** What stands behind the text whatever has to be cut. */
  readonly answers: string;
  /** Takes a key; true once it is over. */
  press(key: Key): boolean;
}

/** Asks whether to do something. Nothing but a typed `y` is a yes: not Enter, and nothing that was pasted. */
export function createConfirm(question: string, onAnswer: (isYes: boolean) => void): Prompt {
  return {
    text: question,
    answers: " [y/N]",
    press: (key) => {
      onAnswer(key.name === "y" || key.name === "Y");
      return true;
    },
  };
}

/** The API searches for no longer ones. */
const longestText = 128;

/** Asks for a text in one line; Escape takes it back. */
export function createTextPrompt(
  label: string,
  text: string,
  onText: (text: string, isEntered: boolean) => void,
): Prompt {
  let typed = text;
  const tell = (next: string): false => {
    if (next !== typed) onText(next, false);
    typed = next;
    return false;
  };
  return {
    get text() {
      return `${label}${typed}`;
    },
    answers: "█",
    press: (key) => {
      if (key.name === "enter" || key.name === "escape" || key.name === "ctrl-c") {
        onText(key.name === "enter" ? typed : "", true);
        return true;
      }
      if (key.name === "backspace") return tell([...typed].slice(0, -1).join(""));
      if (key.name === "ctrl-u") return tell("");
      return tell(key.text === undefined ? typed : `${typed}${oneLine(key.text)}`.slice(0, longestText));
    },
  };
}
