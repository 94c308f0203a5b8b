import { stripVTControlCharacters } from "node:util";

const keptBytes = 4096;
const maxLines = 10;
const maxLineLength = 300;
/** Together with a sentence they fit into a reason (`maxReasonDetailLength`). */
const maxLength = 1_200;

/** What must not be in a reason: all controls but tabs and line ends. */
const controls = /[\p{Cc}--[\t\n]]/gv;

/** Remembers the last lines of an output. */
export class LogTail {
  #bytes = Buffer.alloc(0);
  #isCut = false;

  push(bytes: Buffer): void {
    const all = bytes.length >= keptBytes ? bytes : Buffer.concat([this.#bytes, bytes]);
    this.#isCut ||= all.length > keptBytes || all === bytes;
    this.#bytes = Buffer.from(all.subarray(Math.max(0, all.length - keptBytes)));
  }

  clear(): void {
    this.#bytes = Buffer.alloc(0);
    this.#isCut = false;
  }

  /** At most ten lines, the newest last, without colours and controls; empty where there was no output. */
  lastLines(): string[] {
    const lines = this.#bytes.toString("utf8").split(/\r?\n/);
    // What begins in the middle of a line tells little.
    if (this.#isCut && lines.length > 1) lines.shift();
    const kept: string[] = [];
    let length = 0;
    for (const line of lines.reverse()) {
      const text = stripVTControlCharacters(line).replace(controls, "").trimEnd().slice(0, maxLineLength);
      if (text === "") continue;
      length += text.length + 1;
      if (kept.length === maxLines || (kept.length > 0 && length > maxLength)) break;
      kept.unshift(text);
    }
    return kept;
  }
}
