import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { AttemptOutcome } from "../../shared/domain/manifest.ts";
import { type ReasonCode, reasonFor } from "../../shared/domain/reason.ts";
import { ClockSkew } from "./clock-skew.ts";
import { FailureStreak } from "./failure-streak.ts";
import { judgeClock } from "./machine-health.ts";
import { checkRoom, judgeMemory, judgeRoom } from "./room.ts";

const gb = 1e9;

describe("the room of a file system", () => {
  const room = (bytes: number, freeShare: number, inodesFree = 0.5) => {
    const blocks = bytes / 4096;
    return { bsize: 4096, blocks, bavail: blocks * freeShare, files: 1000, ffree: 1000 * inodesFree };
  };

  it("is judged by a fiftieth of it, but never by more than a gigabyte or so", () => {
    expect(judgeRoom("/w", room(8e6, 0.03))).toBeUndefined();
    expect(judgeRoom("/w", room(8e6, 0.01))).toMatchObject({ what: "disk", detail: expect.stringContaining("/w") });
    expect(judgeRoom("/w", room(1000 * gb, 0.002))).toBeUndefined();
    expect(judgeRoom("/w", room(1000 * gb, 0.0005))).toMatchObject({ what: "disk" });
  });

  it("is used up with its inodes, too, where it counts them", () => {
    expect(judgeRoom("/w", room(gb, 0.5, 0.01))?.detail).toContain("inodes");
    expect(judgeRoom("/w", { ...room(gb, 0.5), files: 0, ffree: 0 })).toBeUndefined();
  });

  it("is asked of the system; a folder that is not there has no bearing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-room-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    expect(await checkRoom(join(folder, "none"), 5_000)).toBeUndefined();
  });
});

describe("the memory", () => {
  it("is used up when programs can get next to nothing", () => {
    expect(judgeMemory(gb, 8 * gb)).toBeUndefined();
    expect(judgeMemory(0.05 * gb, 8 * gb)).toMatchObject({ what: "memory" });
    expect(judgeMemory(0.02 * gb, 0.5 * gb)).toBeUndefined();
  });
});

describe("the clock", () => {
  const dateMs = Date.parse("2026-11-22T10:00:00Z");
  const header = "Sun, 22 Nov 2026 10:00:00 GMT";
  const skewOf = (sentMs: number, answeredMs: number, text: string | undefined = header) => {
    const clock = new ClockSkew(() => 0);
    clock.note(text, sentMs, answeredMs);
    return clock.skewMs;
  };

  it("is off by what an answer proves, however slow that was", () => {
    expect(skewOf(dateMs + 300, dateMs + 900)).toBe(0);
    expect(skewOf(dateMs - 60_000, dateMs + 10)).toBe(0);
    expect(skewOf(dateMs + 61_000, dateMs + 61_500)).toBe(60_000);
    expect(skewOf(dateMs - 61_500, dateMs - 60_000)).toBe(-60_000);
  });

  it("is not known from other words, or from long ago", () => {
    expect(skewOf(0, 1, "yesterday")).toBeUndefined();
    expect(skewOf(0, 1, "")).toBeUndefined();
    let nowMs = 0;
    const clock = new ClockSkew(() => nowMs);
    clock.note(header, dateMs + 500_000, dateMs + 500_001);
    expect(clock.skewMs).toBe(499_000);
    nowMs = 130_000;
    expect(clock.skewMs).toBeUndefined();
  });

  it("is wrong beyond the limit only, on either side", () => {
    expect(judgeClock(undefined, 100)).toBeUndefined();
    expect(judgeClock(-120_000, 120_000)).toBeUndefined();
    expect(judgeClock(121_000, 120_000)?.detail).toContain("121 s ahead of");
    expect(judgeClock(-600_000, 120_000)?.detail).toContain("600 s behind");
  });
});

describe("FailureStreak", () => {
  const completed: AttemptOutcome = { state: "completed", exitCode: 0 };
  const failed = (code: ReasonCode): AttemptOutcome => ({ state: "failed", reason: reasonFor(code, `for ${code}`) });

  it("tells of three different tasks in a row that the infrastructure failed", () => {
    const streak = new FailureStreak(3);
    expect(streak.note("a", failed("internal"))).toBeUndefined();
    expect(streak.note("a", failed("internal"))).toBeUndefined();
    expect(streak.note("b", failed("upload_failed"))).toBeUndefined();
    expect(streak.note("c", failed("internal"))).toBe(
      "3 tasks in a row failed for the infrastructure, the last one: for internal",
    );
  });

  it("tells of each further one until a task has run", () => {
    const streak = new FailureStreak(2);
    streak.note("a", failed("internal"));
    expect(streak.note("b", failed("internal"))).toBeDefined();
    expect(streak.note("b", failed("internal"))).toBeDefined();
    streak.note("c", completed);
    expect(streak.note("d", failed("internal"))).toBeUndefined();
  });

  it("ends with a task that fails by itself, and not with one that was cut short", () => {
    const streak = new FailureStreak(2);
    streak.note("a", failed("internal"));
    streak.note("b", failed("exit_code"));
    expect(streak.note("c", failed("internal"))).toBeUndefined();
    for (const code of ["cancelled", "timed_out", "image_unavailable"] as const) streak.note("d", failed(code));
    expect(streak.note("e", failed("internal"))).toBeDefined();
  });
});
