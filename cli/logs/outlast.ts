import { setTimeout as delay } from "node:timers/promises";
import { defaultPatience } from "../../shared/api-client/event-stream.ts";
import { ApiError, ConnectionError } from "../../shared/api-client/index.ts";

const againMs = 1_000;

/** Whether a control plane that restarts would explain it. */
export function isPassingAbsence(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof ApiError && error.status >= 500);
}

/** Asks again through an absence of the control plane, for as long as a stream would wait for it if nothing else is said. */
export async function outlast<T>(
  ask: () => Promise<T>,
  signal: AbortSignal,
  giveUpAfterMs = defaultPatience.giveUpAfterMs,
): Promise<T> {
  const startedAtMs = performance.now();
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isPassingAbsence(error) || performance.now() - startedAtMs > giveUpAfterMs) throw error;
      await delay(againMs, undefined, { signal });
    }
  }
}
