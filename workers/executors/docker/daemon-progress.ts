import type { Readable } from "node:stream";
import { untilAborted } from "../../retry.ts";

/**
 * Reads what the daemon tells of a pull or a load, to its end. An error there comes after the status 200: the daemon has
 * long answered. Throws it, or the signal's reason.
 */
export async function readDaemonProgress(
  answer: Promise<unknown>,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  // The library does not always settle a call that is aborted.
  const progress = (await untilAborted(answer, signal)) as Readable | undefined;
  if (progress === undefined) throw signal.reason;
  const stop = () => progress.destroy(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    signal.throwIfAborted();
    let rest = "";
    for await (const piece of progress as AsyncIterable<Buffer>) {
      onProgress();
      const lines = (rest + piece.toString("utf8")).split("\n");
      rest = lines.pop() ?? "";
      lines.forEach(throwReportedError);
    }
    throwReportedError(rest);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function throwReportedError(line: string): void {
  const error = /"error"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(line)?.[1];
  if (error !== undefined) throw new Error(String(JSON.parse(error)));
}
