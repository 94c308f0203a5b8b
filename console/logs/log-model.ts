import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { backoffMs } from "../../shared/api-client/backoff.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";

/** One log of an attempt: of a step or of a service. */
export interface LogSection {
  /** Unique among the logs of the attempt, as links to lines have it: `1`, `2`, `service.redis`. */
  key: string;
  title: string;
  choice: { step?: number; service?: string };
  /** How many lines it has so far. */
  lines: number;
  folded: boolean;
  /** What there is to say about the log as a whole: how long it took, how it ended. */
  notes: readonly string[];
}

/** The key of a log: services may be named with digits, as steps are counted. */
export function logKey({ step, service }: { step?: number | undefined; service?: string | undefined }): string {
  return service === undefined ? String(step) : `service.${service}`;
}

/** What a row of the viewer is: the head of a log, or one of its lines (0-based). */
export interface LogRow {
  section: LogSection;
  line: number | undefined;
}

const linesPerPage = 500;
const keptPages = 80;
/** Lines may be long: of text in pages that are not in view, so many characters are kept. */
const keptCharacters = 16 * 1024 * 1024;
/** As many pages as can be in view. */
const pagesInView = 6;
const parallelReads = 3;
const backoff = { firstMs: 500, longestMs: 10_000 };

type LineListener = (key: string, line: number, text: string) => void;

interface LogPage {
  lines: ApiLogLine[];
  characters: number;
  /** How many lines of the page there were, as far as was known, when it was read. */
  known: number;
}

function countOnPage({ lines }: LogSection, page: number): number {
  return Math.min(linesPerPage, lines - page * linesPerPage);
}

/**
 * The logs of one attempt as rows. Only pages that are looked at are read, and only so many are kept: a log of any
 * length costs the same.
 */
export class LogModel {
  readonly #api: ApiClient;
  readonly #place: { job: string; task: string; attempt: number };
  readonly #listeners = new Set<() => void>();
  readonly #lineListeners = new Set<LineListener>();
  /** Pages by `key/page`, in the order in which they were read. */
  readonly #pages = new Map<string, LogPage>();
  readonly #reading = new Set<string>();
  readonly #stop = new AbortController();
  #wanted: { section: LogSection; page: number }[] = [];
  #failures = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
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
    clearTimeout(this.#retryTimer);
    this.#stop.abort();
  }

  /** Tells that the log cannot be followed. */
  fail(error: unknown): void {
    this.error = error instanceof Error ? error : new Error(String(error));
    this.#tell();
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
  note({ key, lines, notes }: LogSection): void {
    this.#change(key, (known) => ({ ...known, lines: Math.max(known.lines, lines), notes }));
  }

  /** Takes a line that was followed. */
  addLine(line: ApiLogLine): void {
    const key = logKey(line);
    const page = this.#pages.get(`${key}/${Math.floor(line.line / linesPerPage)}`);
    if (page) {
      page.lines[line.line % linesPerPage] = line;
      page.characters += line.text.length;
    }
    this.#change(key, (known) => ({ ...known, lines: Math.max(known.lines, line.line + 1) }));
    for (const listener of this.#lineListeners) listener(key, line.line, line.text);
  }

  /** Tells of each line that is followed; answers how to end that. */
  onLine(listener: LineListener): () => void {
    this.#lineListeners.add(listener);
    return () => this.#lineListeners.delete(listener);
  }

  /** A line, where it has been read. */
  lineAt(section: LogSection, line: number): ApiLogLine | undefined {
    return this.#pages.get(`${section.key}/${Math.floor(line / linesPerPage)}`)?.lines[line % linesPerPage];
  }

  /** Reads what of these rows has not been read; what was wanted before and is not any more is left. */
  want(rows: readonly LogRow[]): void {
    const wanted = new Map<string, { section: LogSection; page: number }>();
    for (const { section, line } of rows) {
      if (line === undefined || this.lineAt(section, line)) continue;
      const page = Math.floor(line / linesPerPage);
      const name = `${section.key}/${page}`;
      // What was not there when the log was as long as now is lost: it would be asked for again and again.
      if (countOnPage(section, page) > (this.#pages.get(name)?.known ?? -1)) wanted.set(name, { section, page });
    }
    this.#wanted = [...wanted.values()];
    this.#readNext();
  }

  #readNext(): void {
    if (this.#retryTimer !== undefined) return;
    for (const { section, page } of this.#wanted) {
      if (this.#reading.size >= parallelReads || this.#stop.signal.aborted) return;
      const name = `${section.key}/${page}`;
      if (this.#reading.has(name)) continue;
      this.#reading.add(name);
      this.#readPage(section, page)
        .then((lines) => {
          this.error = undefined;
          this.#failures = 0;
          this.#keep(name, lines);
          this.#wanted = this.#wanted.filter((wish) => `${wish.section.key}/${wish.page}` !== name);
        })
        .catch((error: unknown) => {
          if (!this.#stop.signal.aborted) this.#retryLater(error);
        })
        .finally(() => {
          this.#reading.delete(name);
          this.#tell();
          this.#readNext();
        });
    }
  }

  #retryLater(error: unknown): void {
    this.error = error instanceof Error ? error : new Error(String(error));
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(
      () => {
        this.#retryTimer = undefined;
        this.#readNext();
      },
      backoffMs(backoff, ++this.#failures),
    );
  }

  async #readPage(section: LogSection, page: number): Promise<LogPage> {
    const first = page * linesPerPage;
    const lines: ApiLogLine[] = [];
    let characters = 0;
    for await (const line of this.readLines(section.key, first, first + linesPerPage, this.#stop.signal)) {
      lines[line.line - first] = line;
      characters += line.text.length;
    }
    return { lines, characters, known: countOnPage(section, page) };
  }

  /** Lines of a log from `first` up to, but not including, `end`, as far as there are any. */
  async *readLines(key: string, first: number, end: number, signal: AbortSignal): AsyncGenerator<ApiLogLine> {
    const { job, task, attempt } = this.#place;
    const choice = this.sections.find((section) => section.key === key)?.choice;
    const query = { attempt, ...choice, lines: `${first}-${end - 1}`, limit: linesPerPage };
    // A part may have fewer lines than asked for: long ones make an answer full.
    for (let cursor: string | undefined; ; ) {
      const part = await this.#api.readLog(job, task, { ...query, cursor }, { signal });
      yield* part.lines;
      if (part.complete || part.lines.length === 0) return;
      cursor = part.cursor;
    }
  }

  #keep(name: string, page: LogPage): void {
    this.#pages.delete(name);
    this.#pages.set(name, page);
    let characters = [...this.#pages.values()].reduce((sum, kept) => sum + kept.characters, 0);
    for (const [oldest, kept] of this.#pages) {
      const isRoomy = this.#pages.size <= keptPages && characters <= keptCharacters;
      if (isRoomy || this.#pages.size <= pagesInView) break;
      this.#pages.delete(oldest);
      characters -= kept.characters;
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
