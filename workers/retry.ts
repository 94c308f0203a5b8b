import { setTimeout as delay } from "node:timers/promises";
import pRetry from "p-retry";

/** How often and how long something is tried; times in milliseconds. */
export interface RetryOptions {
  /** Ends the waiting and the trying; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Tries after the first one; without it, until the time is over. */
  retries?: number;
  /** No try starts later than this after the first. */
  maxElapsedMs?: number;
  firstDelayMs?: number;
  maxDelayMs?: number;
  /** False for errors that the next try would meet again. */
  isRetryable?: (error: Error) => boolean;
  onFailure?: (error: Error, retryInMs: number) => void;
}

/** Tries until it works, with exponential backoff and jitter; throws the last error when it gives up. */
export function retryWithBackoff<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  return pRetry(work, {
    retries: options.retries ?? Number.POSITIVE_INFINITY,
    factor: 2,
    randomize: true,
    minTimeout: options.firstDelayMs ?? 100,
    maxTimeout: options.maxDelayMs ?? 5_000,
    ...(options.maxElapsedMs === undefined ? {} : { maxRetryTime: options.maxElapsedMs }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    shouldRetry: ({ error }) => options.isRetryable?.(error) ?? true,
    onFailedAttempt: ({ error, retryDelay }) => options.onFailure?.(error, retryDelay),
  });
}

/** The error of something that did not happen in time. */
export class DeadlineError extends Error {
  constructor(what: string, afterMs: number) {
    super(`${what} took longer than ${afterMs} ms`);
    this.name = "DeadlineError";
  }
}

/**
 * Waits for a promise, but not for ever. What it waits for goes on: the caller must leave it in a state where a late
 * end does no harm.
 */
export async function withDeadline<T>(promise: Promise<T>, deadlineMs: number, what: string): Promise<T> {
  const timer = new AbortController();
  const expiry = delay(deadlineMs, undefined, { signal: timer.signal }).then(
    () => {
      throw new DeadlineError(what, deadlineMs);
    },
    // The promise was faster: this end of the race is never looked at.
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    timer.abort();
  }
}

/** Waits for a promise, but no longer than a time; tells whether it settled. A rejection is passed on. */
export async function settlesWithin(promise: Promise<unknown>, deadlineMs: number): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([promise.then(() => true), sleep(deadlineMs, timer.signal).then(() => false)]);
  } finally {
    timer.abort();
  }
}

/** Waits for a time or until the signal, whichever is first; tells whether the time passed. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
    return true;
  } catch (error) {
    if (signal?.aborted) return false;
    throw error;
  }
}

/** Waits for a promise or the signal; undefined where the signal was first. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) {
    // Nobody looks at it any more, also not at its failure.
    promise.catch(() => undefined);
    return Promise.resolve(undefined);
  }
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(undefined);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** An error's message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}
