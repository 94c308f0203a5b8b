import { setTimeout as sleep } from "node:timers/promises";

const patienceMs = 5_000;
const pauseMs = 50;

/** Tells whether an error says that the port is taken. */
export function isPortTaken(error: unknown): boolean {
  return (
    error instanceof Error &&
    (("code" in error && error.code === "EADDRINUSE") || /port \d+ .*is taken/.test(error.message))
  );
}

/** Starts a server on a port that the dying process of an earlier start may hold for a moment longer. */
export async function retryTakenPort<T>(start: () => Promise<T>): Promise<T> {
  const givesUpAt = Date.now() + patienceMs;
  for (;;) {
    try {
      return await start();
    } catch (error) {
      if (!isPortTaken(error) || Date.now() > givesUpAt) throw error;
      await sleep(pauseMs);
    }
  }
}
