import { timing } from "./timing.ts";

/**
 * When a waiting task is announced again unless somebody has claimed it by then, in milliseconds since the epoch, and
 * how long that is after the last time. Its message may be lost without anybody noticing: a receipt that was stale, a
 * message past its 12 hours of visibility or its retention, a crash before it was sent. One too many does no harm.
 */
export interface Announcement {
  atMs: number;
  afterMs: number;
}

/** The first of a task that may be claimed from `dueMs` on. */
export function firstAnnouncement(dueMs: number): Announcement {
  return { atMs: dueMs + timing.announceAgainMs, afterMs: timing.announceAgainMs };
}

/** The one that follows an announcement made now: after twice the time, up to a limit. */
export function nextAnnouncement({ afterMs }: Announcement, nowMs: number): Announcement {
  const nextAfterMs = Math.min(timing.longestAnnounceMs, 2 * afterMs);
  return { atMs: nowMs + nextAfterMs, afterMs: nextAfterMs };
}
