import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { cleanForTerminal } from "../logs/log-printer.ts";

/** A row of a log on the screen: a line of it, or a rule where another step or attempt begins. */
export type LogRow = { kind: "line"; line: ApiLogLine } | { kind: "rule"; attempt: number; step: number | undefined };

/** Lines of one step of one attempt, without gaps. */
interface LogSection {
  attempt: number;
  step: number | undefined;
  lines: ApiLogLine[];
  characters: number;
}

/** How much is kept: more is read again, or by `sluice logs`. */
const most = { lines: 50_000, characters: 32_000_000 };
/** So much is given up at once: a log that comes fast must not move all of its rows for each line. */
const dropLines = 5_000;

/** The part of a log that is in memory, as rows. */
export class LogBuffer {
  readonly #most: { lines: number; characters: number };
  #sections: LogSection[] = [];
  #lines = 0;
  #characters = 0;
  /** Rows that were given up at the beginning so far, or (below zero) were put there. */
  dropped = 0;

  constructor(limits = most) {
    this.#most = limits;
  }

  /** Rows that there are. */
  get length(): number {
    return this.#lines + this.#sections.length;
  }

  get isFull(): boolean {
    return this.#lines >= this.#most.lines || this.#characters >= this.#most.characters;
  }

  /** Where the first line stands, to read what is before it. */
  get first(): { attempt: number; step: number | undefined; line: number } | undefined {
    const [section] = this.#sections;
    return section && { attempt: section.attempt, step: section.step, line: section.lines[0]?.line ?? 0 };
  }

  /** Takes the next line. */
  push(attempt: number, line: ApiLogLine): void {
    let section = this.#sections.at(-1);
    if (section === undefined || section.attempt !== attempt || section.step !== line.step) {
      section = { attempt, step: line.step, lines: [], characters: 0 };
      this.#sections.push(section);
    }
    section.lines.push(line);
    this.#count(section, 1, line.text.length);
    while (this.#lines > this.#most.lines || this.#characters > this.#most.characters) this.#dropFirst();
  }

  /** Puts lines of one step before all others. */
  unshift(attempt: number, lines: readonly ApiLogLine[]): void {
    const [first] = lines;
    if (!first) return;
    let [section] = this.#sections;
    const before = this.length;
    if (section === undefined || section.attempt !== attempt || section.step !== first.step) {
      section = { attempt, step: first.step, lines: [], characters: 0 };
      this.#sections.unshift(section);
    }
    section.lines = [...lines, ...section.lines];
    this.#count(
      section,
      lines.length,
      lines.reduce((sum, { text }) => sum + text.length, 0),
    );
    this.dropped -= this.length - before;
  }

  /** Rows from `start` on, `count` of them where there are so many. */
  rows(start: number, count: number): LogRow[] {
    const rows: LogRow[] = [];
    let at = 0;
    for (const { attempt, step, lines } of this.#sections) {
      const end = at + 1 + lines.length;
      for (let index = Math.max(start, at); index < Math.min(end, start + count); index++) {
        const line = index === at ? undefined : lines[index - at - 1];
        rows.push(line === undefined ? { kind: "rule", attempt, step } : { kind: "line", line });
      }
      at = end;
    }
    return rows;
  }

  /** The row nearest to `from`, not itself, whose line shows the text (in any case), onwards or back; -1 where none has. */
  find(text: string, from: number, direction: 1 | -1): number {
    const wanted = text.toLowerCase();
    const { length } = this;
    const all = this.rows(0, length);
    for (let steps = 1; steps <= length; steps++) {
      const index = (((from + direction * steps) % length) + length) % length;
      const row = all[index];
      if (row?.kind === "line" && cleanForTerminal(row.line.text, false, false).toLowerCase().includes(wanted))
        return index;
    }
    return -1;
  }

  #count(section: LogSection, lines: number, characters: number): void {
    section.characters += characters;
    this.#lines += lines;
    this.#characters += characters;
  }

  #dropFirst(): void {
    const [section] = this.#sections;
    if (!section) return;
    const before = this.length;
    const gone = section.lines.splice(0, Math.min(dropLines, Math.ceil(section.lines.length / 2)));
    this.#count(section, -gone.length, -gone.reduce((sum, { text }) => sum + text.length, 0));
    if (section.lines.length === 0) this.#sections.shift();
    this.dropped += before - this.length;
  }
}
