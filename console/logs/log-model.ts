import type { ApiLogLine } from "../../shared/api/schemas.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";

/** One log of an attempt: of a step or of a service. */
export interface LogSection {
  /** Unique among the logs of the attempt, as links to lines have it: `1`, `2`, `redis`. */
  key: string;
  title: string;
  choice: { step?: number; service?: string };
  /** How many lines it has so far. */
  lines: number;
  folded: boolean;
  /** What there is to say about the log as a whole: how long it took, how it ended. */
  notes: readonly string[];
}

/** What a row of the viewer is: the head of a log, or one of its lines (0-based). */
export interface LogRow {
  section: LogSection;
  line: number | undefined;
}

const linesPerPage = 500;
const keptPages = 80;
const parallelReads = 3;

/**
 * The logs of one attempt as rows. Only pages that are looked at are read, and only so many are kept: a log of any
 * length costs the same.
 */
export class LogModel {
  readonly #api: ApiClient;
  readonly #place: { job: string; task: string; attempt: number };
  readonly #listeners = new Set<() => void>();
  /** Pages by `key/page`, in the order in which they were used. */
  readonly #pages = new Map<string, ApiLogLine[]>();
  readonly #reading = new Set<string>();
  readonly #stop = new AbortController();
  #wanted: { section: LogSection; page: number }[] = [];
  #version = 0;
  #scheduled = false;
  sections: readonly LogSection[];
  error: Error | undefined;

  constructor(api: ApiClient, place: { job: string; task: string; attempt: number }, sections: readonly LogSection[]) {
    this.#api = api;
    this.#place = place;
    this.sections = sections;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getVersion = (): number => this.#version;

  close(): void {
    this.#stop.abort();
  }

  get rows(): number {
    return this.sections.reduce((sum, section) => sum + 1 + (section.folded ? 0 : section.lines), 0);
  }

  /** What stands at a row. */
  locate(row: number): LogRow | undefined {
    let first = 0;
    for (const section of this.sections) {
      const length = 1 + (section.folded ? 0 : section.lines);
      if (row < first + length) return { section, line: row === first ? undefined : row - first - 1 };
      first += length;
    }
    return undefined;
  }

  /** Where a line stands; undefined where its log is folded or shorter. */
  rowOf(key: string, line: number): number | undefined {
    let first = 0;
    for (const section of this.sections) {
      if (section.key === key) return section.folded || line >= section.lines ? undefined : first + 1 + line;
      first += 1 + (section.folded ? 0 : section.lines);
    }
    return undefined;
  }

  fold(key: string, folded: boolean): void {
    this.#change(key, (section) => ({ ...section, folded }));
  }

  /** Takes what is known of a log as a whole; a log only grows. */
  note(key: string, lines: number, notes: readonly string[]): void {
    this.#change(key, (known) => ({ ...known, lines: Math.max(known.lines, lines), notes }));
  }

  /** Takes a line that was followed. */
  addLine(line: ApiLogLine): void {
    const key = line.service ?? String(line.step);
    const page = this.#pages.get(`${key}/${Math.floor(line.line / linesPerPage)}`);
    if (page) page[line.line % linesPerPage] = line;
    this.#change(key, (known) => ({ ...known, lines: Math.max(known.lines, line.line + 1) }));
  }

  /** A line, where it has been read. */
  lineAt(section: LogSection, line: number): ApiLogLine | undefined {
    return this.#pages.get(`${section.key}/${Math.floor(line / linesPerPage)}`)?.[line % linesPerPage];
  }

  /** Reads what of these rows has not been read; what was wanted before and is not any more is left. */
  want(rows: readonly LogRow[]): void {
    const wanted = new Map<string, { section: LogSection; page: number }>();
    for (const { section, line } of rows) {
      if (line === undefined || this.lineAt(section, line)) continue;
      const page = Math.floor(line / linesPerPage);
      wanted.set(`${section.key}/${page}`, { section, page });
    }
    this.#wanted = [...wanted.values()];
    this.#readNext();
  }

  #readNext(): void {
    for (const { section, page } of this.#wanted) {
      if (this.#reading.size >= parallelReads || this.#stop.signal.aborted) return;
      const name = `${section.key}/${page}`;
      if (this.#reading.has(name)) continue;
      this.#reading.add(name);
      this.#readPage(section, page)
        .then((lines) => {
          this.error = undefined;
          this.#keep(name, lines);
        })
        .catch((error: unknown) => {
          if (!this.#stop.signal.aborted) this.error = error instanceof Error ? error : new Error(String(error));
        })
        .finally(() => {
          this.#reading.delete(name);
          this.#wanted = this.#wanted.filter((wish) => `${wish.section.key}/${wish.page}` !== name);
          this.#tell();
          this.#readNext();
        });
    }
  }

  async #readPage(section: LogSection, page: number): Promise<ApiLogLine[]> {
    const { job, task, attempt } = this.#place;
    const first = page * linesPerPage;
    const query = { attempt, ...section.choice, lines: `${first}-${first + linesPerPage - 1}`, limit: linesPerPage };
    const lines: ApiLogLine[] = [];
    // A part may have fewer lines than asked for: long ones make an answer full.
    for (let cursor: string | undefined; ; ) {
      const part = await this.#api.readLog(job, task, { ...query, cursor }, { signal: this.#stop.signal });
      for (const line of part.lines) lines[line.line - first] = line;
      if (part.complete || part.lines.length === 0) break;
      cursor = part.cursor;
    }
    return lines;
  }

  #keep(name: string, lines: ApiLogLine[]): void {
    this.#pages.delete(name);
    this.#pages.set(name, lines);
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= keptPages) break;
      this.#pages.delete(oldest);
    }
  }

  #change(key: string, change: (section: LogSection) => LogSection): void {
    this.sections = this.sections.map((section) => (section.key === key ? change(section) : section));
    this.#tell();
  }

  /** At most once a frame, however many lines come. */
  #tell(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#version++;
      for (const listener of this.#listeners) listener();
    });
  }
}
