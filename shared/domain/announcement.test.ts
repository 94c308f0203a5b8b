import { describe, expect, it } from "vitest";
import { firstAnnouncement, nextAnnouncement } from "./announcement.ts";
import { timing } from "./timing.ts";

describe("announcements", () => {
  it("come first a while after the task may be claimed", () => {
    expect(firstAnnouncement(5_000)).toEqual({ atMs: 5_000 + timing.announceAgainMs, afterMs: timing.announceAgainMs });
  });

  it("come ever more rarely, down to a limit", () => {
    let announcement = firstAnnouncement(0);
    const gaps: number[] = [];
    for (let count = 0; count < 12; count++) {
      const nowMs = announcement.atMs;
      announcement = nextAnnouncement(announcement, nowMs);
      gaps.push(announcement.atMs - nowMs);
    }
    expect(gaps.slice(0, 3)).toEqual([2, 4, 8].map((times) => times * timing.announceAgainMs));
    expect(gaps.slice(-2)).toEqual([timing.longestAnnounceMs, timing.longestAnnounceMs]);
  });
});
