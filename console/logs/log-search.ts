import { backoffMs, sleep } from "../../shared/api-client/backoff.ts";
import { type ApiClient, ApiError } from "../../shared/api-client/index.ts";
import { plainText, stripEscapes } from "./ansi.ts";
import type { TextFinder } from "./find-text.ts";
import type { LogSection } from "./log-model.ts";

/** A line in which the text was found. */
export interface Match {
  key: string;
  line: number;
}

type LogBytes = Pick<ApiClient, "readLogBytes">;

/** How far a search has come; the lists are the same ones each time, and grow. */
export interface SearchProgress {
  matches: readonly Match[];
  /** How many lines of each log have been looked through, by its key. */
  searched: ReadonlyMap<string, number>;
  /** True where there are more matches than are listed. */
  more: boolean;
}

/** A function that answers streams no more than 20 MB. */
const rangeBytes = 8 * 1024 * 1024;
const partBytes = 128 * 1024;
/** More matches than these are not listed. */
export const maxMatches = 10_000;
/** So long the page may be kept from drawing. */
const sliceMs = 8;
const rangeTries = 5;
const rangeBackoff = { firstMs: 300, longestMs: 5_000 };

/**
 * Looks through whole logs for a text as it is seen, without regard to case; tells again and again how far it has
 * come, and lets the page draw in between.
 */
export async function* searchLogs(
  api: LogBytes,
  place: { job: string; task: string; attempt: number },
  sections: readonly LogSection[],
  finder: TextFinder,
  signal: AbortSignal,
): AsyncGenerator<SearchProgress> {
  const matches: Match[] = [];
  const searched = new Map<string, number>();
  for (const section of sections) {
    if (section.lines === 0) continue;
    let rest = "";
    let line = 0;
    let sliceEnd = performance.now() + sliceMs;
    const look = (text: string) => {
      for (const found of findLines(text, finder)) matches.push({ key: section.key, line: line + found });
      line += countLines(text);
      searched.set(section.key, line);
    };
    for await (const part of readText(api, place, section, signal)) {
      const end = part.lastIndexOf("\n");
      if (end === -1) {
        rest += part;
        continue;
      }
      look(rest + part.slice(0, end));
      rest = part.slice(end + 1);
      if (matches.length >= maxMatches) {
        yield { matches: matches.slice(0, maxMatches), searched, more: true };
        return;
      }
      if (performance.now() < sliceEnd) continue;
      yield { matches, searched, more: false };
      await sleep(0, signal);
      sliceEnd = performance.now() + sliceMs;
    }
    if (rest !== "") look(rest);
  }
  yield { matches, searched, more: false };
}

/** Which of these lines have the text; most often none of them has. */
function findLines(text: string, finder: TextFinder): number[] {
  const stripped = stripEscapes(text);
  if (stripped !== undefined && !finder.isIn(stripped)) return [];
  return text.split("\n").flatMap((line, index) => (finder.isIn(plainText(line)) ? index : []));
}

function countLines(text: string): number {
  let count = 1;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/** The text of one log in parts that end anywhere, as they come. */
async function* readText(
  api: LogBytes,
  place: { job: string; task: string; attempt: number },
  section: LogSection,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let failures = 0;
  for (let start = 0, total = Number.POSITIVE_INFINITY; start < total; ) {
    try {
      const { body, size } = await openRange(api, place, section, start, signal);
      total = size;
      const before = start;
      for await (const bytes of body) {
        start += bytes.byteLength;
        failures = 0;
        yield decoder.decode(bytes, { stream: true });
      }
      if (start === before) return;
    } catch (error) {
      // What was read stays read: a search of a large log outlives a short loss of contact.
      if (signal.aborted || error instanceof ApiError || ++failures >= rangeTries) throw error;
      await sleep(backoffMs(rangeBackoff, failures), signal);
    }
  }
  yield decoder.decode();
}

async function openRange(
  api: LogBytes,
  { job, task, attempt }: { job: string; task: string; attempt: number },
  { choice }: LogSection,
  start: number,
  signal: AbortSignal,
): Promise<{ body: AsyncIterable<Uint8Array>; size: number }> {
  const range = `${start}-${start + rangeBytes - 1}`;
  const response = await api.readLogBytes(job, task, { attempt, ...choice }, range, { signal });
  const size = Number(response.headers.get("content-range")?.split("/")[1] ?? 0);
  return { body: readBody(response), size };
}

/** In parts that are short enough to be looked through at once. Not every browser can iterate a stream. */
async function* readBody(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    for (let at = 0; at < part.value.length; at += partBytes) yield part.value.subarray(at, at + partBytes);
  }
}
