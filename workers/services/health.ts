import type { HealthSpec } from "../../shared/jobfile/job-spec.ts";
import { formatDuration } from "../attempt/interrupt.ts";
import { untilAborted } from "../retry.ts";

/** What one look at a service came to. */
export type ProbeResult = { healthy: true } | { healthy: false; why: string };
/** Looks once; the signal ends it early. What it throws counts as not healthy. */
export type Probe = (signal: AbortSignal) => Promise<ProbeResult>;

export interface HealthWait {
  health: Omit<HealthSpec, "check">;
  probe: Probe;
  /** Ends the wait at once; its reason is thrown. */
  signal: AbortSignal;
  nowMs: () => number;
  /** Waits for a time or until the signal. */
  sleep: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/**
 * The first checks come faster than the interval and do not count: most services are up within it, and no task should
 * wait for the rest of a second.
 */
const firstDelayMs = 100;

/**
 * Checks until a service is healthy, or until as many checks have failed as may: those of its start period and the
 * fast ones at the beginning are not counted. Undefined where it is healthy, else what the last check said.
 */
export async function waitUntilHealthy(wait: HealthWait): Promise<string | undefined> {
  const { intervalMs, retries, startPeriodMs } = wait.health;
  const startedAtMs = wait.nowMs();
  let failures = 0;
  for (let delayMs = Math.min(firstDelayMs, intervalMs); ; delayMs = Math.min(delayMs * 2, intervalMs)) {
    const result = await checkOnce(wait);
    if (result.healthy) return undefined;
    const counts = delayMs === intervalMs && wait.nowMs() - startedAtMs >= startPeriodMs;
    if (counts && ++failures >= retries) return result.why;
    await wait.sleep(delayMs, wait.signal);
    wait.signal.throwIfAborted();
  }
}

async function checkOnce({ probe, health, signal }: HealthWait): Promise<ProbeResult> {
  signal.throwIfAborted();
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(new Error("timeout")), health.timeoutMs);
  const either = AbortSignal.any([signal, timeout.signal]);
  try {
    const result = await untilAborted(probe(either), either);
    if (result !== undefined) return result;
  } catch (error) {
    if (!either.aborted) return { healthy: false, why: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
  signal.throwIfAborted();
  return { healthy: false, why: `no answer within ${formatDuration(health.timeoutMs)}` };
}
