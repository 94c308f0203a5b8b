import { StringDecoder } from "node:string_decoder";

/** A key that was pressed: its name (`a`, `up`, `ctrl-c`), and the text that it types. What was pasted is one key. */
export interface Key {
  name: string;
  text?: string;
}

/** Makes keys of the bytes of a terminal in raw mode. */
export interface KeyReader {
  feed(bytes: Buffer): void;
  /** Forgets what was begun. */
  close(): void;
}

const escapeCode = "\u001b";
/** A lone ESC is the key only if nothing follows for so long: sequences begin with it too. */
const escapeWaitMs = 40;
/** What was pasted ends without its end after so long without a byte: keys must not be taken for it forever. */
const pasteWaitMs = 5_000;
/** More is not taken of what is pasted, and no sequence is longer. */
const longestPaste = 1_000;
const pasteEnd = `${escapeCode}[201~`;

const namesByFinal: Readonly<Record<string, string>> = {
  ...{ A: "up", B: "down", C: "right", D: "left", H: "home", F: "end", Z: "backtab" },
};
const namesByNumber: Readonly<Record<string, string>> = {
  ...{ 1: "home", 3: "delete", 4: "end", 5: "pageup", 6: "pagedown", 7: "home", 8: "end" },
};
const namesOfControls: Readonly<Record<string, string>> = {
  ...{ "\r": "enter", "\n": "enter", "\t": "tab", "\u007f": "backspace", "\b": "backspace" },
};

/** What a key sends: ESC O, or ESC [ with numbers, and a last character; the Linux console has a second `[`. */
const sequencePattern = /^.(?:\[\[?([0-?]*)[ -/]*|O)([@-Z\\-~])/s;
/** What a terminal answers to a question, such as of the program before, and no key sends. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: BEL or ESC \ end it.
const answerPattern = /^.[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)/s;
/** What may be the beginning of either. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: BEL or ESC \ end it.
const begunPattern = /^.(?:\[\[?[0-?]*[ -/]*|O|[\]PX^_][^\x07\x1b]*\x1b?)?$/s;

/** Creates a reader that tells each key as soon as it is known. */
export function createKeyReader(onKey: (key: Key) => void): KeyReader {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let pasted: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  /** Takes one key off the rest; false where more has to come first. */
  function takeOne(): boolean {
    if (pasted !== undefined) return takePasted();
    if (rest.startsWith(escapeCode)) return takeSequence();
    const [character = ""] = rest;
    rest = rest.slice(character.length);
    const name = namesOfControls[character] ?? nameControl(character);
    onKey(name === undefined ? { name: character, text: character } : { name });
    return true;
  }

  function takePasted(): boolean {
    const end = rest.indexOf(pasteEnd);
    // The end may be cut in two.
    const ready = end >= 0 ? end : Math.max(0, rest.length - pasteEnd.length);
    pasted = `${pasted}${rest.slice(0, ready)}`.slice(0, longestPaste);
    rest = rest.slice(ready + (end >= 0 ? pasteEnd.length : 0));
    if (end < 0) return false;
    onKey({ name: "paste", text: pasted });
    pasted = undefined;
    return true;
  }

  function takeSequence(): boolean {
    const [sequence, numbers = "", final = ""] = sequencePattern.exec(rest) ?? [];
    if (sequence !== undefined) {
      rest = rest.slice(sequence.length);
      if (final === "~" && numbers === "200") pasted = "";
      // The Linux console's function keys end like arrows.
      const name = sequence.startsWith("[[", 1)
        ? undefined
        : sequence.endsWith("OM")
          ? "enter"
          : final === "~"
            ? namesByNumber[numbers]
            : namesByFinal[final];
      if (name !== undefined) onKey({ name });
      return true;
    }
    const [answer] = answerPattern.exec(rest) ?? [];
    if (answer !== undefined) {
      rest = rest.slice(answer.length);
      return true;
    }
    if (rest.length <= longestPaste && begunPattern.test(rest)) return false;
    // Escape twice is Escape; with a character behind it a key held with Alt, which means nothing here.
    if (rest[1] === escapeCode) onKey({ name: "escape" });
    rest = rest.slice(rest[1] === escapeCode ? 1 : 1 + ([...rest][1] ?? "").length);
    return true;
  }

  function giveUpWaiting(): void {
    const isKey = rest === escapeCode;
    const text = pasted === undefined ? undefined : `${pasted}${rest}`.slice(0, longestPaste);
    rest = "";
    pasted = undefined;
    if (text !== undefined) onKey({ name: "paste", text });
    else if (isKey) onKey({ name: "escape" });
  }

  return {
    feed: (bytes) => {
      clearTimeout(timer);
      rest += decoder.write(bytes);
      while (rest !== "" && takeOne());
      if (rest !== "" || pasted !== undefined) {
        timer = setTimeout(giveUpWaiting, pasted === undefined ? escapeWaitMs : pasteWaitMs);
      }
    },
    close: () => {
      clearTimeout(timer);
      rest = "";
      pasted = undefined;
    },
  };
}

function nameControl(character: string): string | undefined {
  const code = character.charCodeAt(0);
  return code < 0x20 ? `ctrl-${String.fromCharCode(code + 0x60)}` : undefined;
}
