import type { LogSummary } from "./manifest.ts";

/**
 * Whether the end of an attempt's logs is missing: it was taken from its worker and left no manifest, so nobody knows what
 * was printed after the last lines that were stored (`timing.logFlushMs` before the worker was lost).
 */
export function isLogEndLost(attempt: { rescue?: unknown; logs?: readonly LogSummary[] | undefined }): boolean {
  return attempt.rescue !== undefined && (attempt.logs ?? []).length === 0;
}
