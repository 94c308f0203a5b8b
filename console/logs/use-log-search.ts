import { useEffect, useState } from "react";
import { formatBytes, formatNumber } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import type { LogModel } from "./log-model.ts";
import { type Match, type SearchProgress, searchLogs } from "./log-search.ts";

/** A search begins when nothing was typed for so long. */
const pauseMs = 300;

/** Search through the whole of the logs, with a place among what was found. */
export function useLogSearch(
  model: LogModel,
  place: { job: string; task: string; attempt: number },
  goTo: (key: string, line: number) => void,
) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(-1);
  const [found, setFound] = useState<SearchProgress & { isWhole: boolean; error?: Error }>();
  const wanted = text.trim().toLowerCase();

  useEffect(() => {
    setFound(undefined);
    setAt(-1);
    if (wanted === "") return;
    const stop = new AbortController();
    const look = async () => {
      let last: SearchProgress = { matches: [], bytes: 0, more: false };
      try {
        for await (const progress of searchLogs(api, place, model.sections, wanted, stop.signal)) {
          last = progress;
          setFound({ ...progress, isWhole: false });
        }
        setFound({ ...last, isWhole: true });
      } catch (error) {
        if (!stop.signal.aborted) setFound({ ...last, isWhole: true, error: error as Error });
      }
    };
    const timer = setTimeout(() => void look(), pauseMs);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [model, place, wanted]);

  const matches = found?.matches ?? [];
  const go = (step: 1 | -1) => {
    if (matches.length === 0) return;
    const next = at === -1 ? (step === 1 ? 0 : matches.length - 1) : (at + step + matches.length) % matches.length;
    setAt(next);
    const match = matches[next];
    if (match) goTo(match.key, match.line);
  };
  const current: Match | undefined = matches[at];
  return { text, setText, wanted, count: matches.length, current, go, says: describe(wanted, found, at) };
}

function describe(
  wanted: string,
  found: (SearchProgress & { isWhole: boolean; error?: Error }) | undefined,
  at: number,
): string {
  if (wanted === "") return "";
  if (!found) return "searching…";
  if (found.error) return `the search broke off: ${found.error.message}`;
  const count = `${formatNumber(found.matches.length)}${found.more ? " and more" : ""}`;
  const place = at >= 0 ? `${formatNumber(at + 1)} of ${count}` : `${count} found`;
  return found.isWhole
    ? found.matches.length === 0
      ? "not found"
      : place
    : `${place}, ${formatBytes(found.bytes)} searched`;
}
