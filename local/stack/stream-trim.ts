import type { Logger } from "../../shared/log.ts";
import { openCheckpoints } from "../lambda/checkpoints.ts";

const trimEveryMs = 10 * 60_000;
/** Enough to look back at what happened; every consumer has seen the records by then. */
const keepMs = 60 * 60_000;

/** Where a table's stream can be trimmed. */
interface TrimTarget {
  trimStream(trim: { tableName: string; throughSequenceNumber: string; retentionMs: number }): Promise<number>;
}

/** Removes stream records that all consumers have worked off, now and then; the embedded server never does. */
export function startStreamTrim(
  options: { target: () => TrimTarget; tableName: string; checkpointFile: string; consumers: readonly string[] },
  log: Logger,
): { close(): void } {
  const trim = async () => {
    const throughSequenceNumber = readLowestCheckpoint(options.checkpointFile, options.consumers);
    if (throughSequenceNumber === undefined) return;
    const removed = await options
      .target()
      .trimStream({ tableName: options.tableName, throughSequenceNumber, retentionMs: keepMs });
    log.debug({ removed }, "the table's stream was trimmed");
  };
  const timer = setInterval(() => {
    trim().catch((error: unknown) => log.warn({ err: error }, "the table's stream could not be trimmed; it grows"));
  }, trimEveryMs);
  return { close: () => clearInterval(timer) };
}

/** The lowest place any consumer has reached, undefined while one has reached none. */
function readLowestCheckpoint(file: string, consumers: readonly string[]): string | undefined {
  const store = openCheckpoints(file);
  try {
    const places = consumers.map((consumer) => store.list(consumer));
    if (places.some((sequences) => sequences.length === 0)) return undefined;
    return places.flat().reduce((lowest, sequence) => (BigInt(sequence) < BigInt(lowest) ? sequence : lowest));
  } finally {
    store.close();
  }
}
