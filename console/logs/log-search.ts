import type { ApiClient } from "../../shared/api-client/index.ts";
import type { LogSection } from "./log-model.ts";

/** A line in which the text was found. */
export interface Match {
  key: string;
  line: number;
}

/** How far a search has come. */
export interface SearchProgress {
  matches: readonly Match[];
  /** Bytes looked through. */
  bytes: number;
  /** True where there are more matches than are listed. */
  more: boolean;
}

/** A function that answers streams no more than 20 MB. */
const rangeBytes = 4 * 1024 * 1024;
const maxMatches = 10_000;

/** Looks through whole logs for a text, without regard to case; answers after each range how far it has come. */
export async function* searchLogs(
  api: ApiClient,
  place: { job: string; task: string; attempt: number },
  sections: readonly LogSection[],
  text: string,
  signal: AbortSignal,
): AsyncGenerator<SearchProgress> {
  const wanted = text.toLowerCase();
  const matches: Match[] = [];
  let bytes = 0;
  for (const section of sections) {
    if (section.lines === 0) continue;
    let line = 0;
    let rest = "";
    for await (const part of readText(api, place, section, signal)) {
      bytes += part.length;
      const lines = (rest + part).split("\n");
      rest = lines.pop() ?? "";
      for (const candidate of lines) {
        if (candidate.toLowerCase().includes(wanted)) matches.push({ key: section.key, line });
        line++;
      }
      if (matches.length >= maxMatches) {
        yield { matches: matches.slice(0, maxMatches), bytes, more: true };
        return;
      }
      yield { matches: [...matches], bytes, more: false };
    }
    if (rest !== "" && rest.toLowerCase().includes(wanted)) matches.push({ key: section.key, line });
  }
  yield { matches, bytes, more: false };
}

/** The text of one log in parts that end anywhere. */
async function* readText(
  api: ApiClient,
  { job, task, attempt }: { job: string; task: string; attempt: number },
  section: LogSection,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for (let start = 0; ; ) {
    const query = { attempt, ...section.choice };
    const response = await api.readLogBytes(job, task, query, `${start}-${start + rangeBytes - 1}`, { signal });
    const total = Number(response.headers.get("content-range")?.split("/")[1] ?? 0);
    const body = new Uint8Array(await response.arrayBuffer());
    start += body.byteLength;
    yield decoder.decode(body, { stream: start < total });
    if (start >= total || body.byteLength === 0) return;
  }
}
