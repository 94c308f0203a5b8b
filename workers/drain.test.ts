import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createLogger } from "../shared/log.ts";
import { Drain, type DrainedWorker } from "./drain.ts";
import type { DrainCause } from "./drain-cause.ts";
import { DrainClock } from "./drain-clock.ts";
import { DrainPhases, type PhaseRow } from "./drain-phases.ts";

const times = { drainMs: 25_000, finishMs: 25_000, killGraceMs: 10_000 };
const requested: DrainCause = { kind: "requested" };
const signal: DrainCause = { kind: "signal", signal: "SIGTERM" };
const never = () => new Promise<never>(() => undefined);
const done = () => Promise.resolve(undefined);

function setUp(cause: DrainCause, parts: Partial<DrainedWorker> = {}) {
  const nowMs = () => performance.now();
  const clock = new DrainClock(nowMs);
  const lines: { message: string; phases?: PhaseRow[]; ms?: number }[] = [];
  const log = createLogger("test", { level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } });
  const giveBack = vi.fn();
  const worker: DrainedWorker = {
    stopIntake: done,
    untilIdle: done,
    giveBack,
    settleMessages: done,
    cleanUp: done,
    removals: () => [["workspaces", done]],
    sayFarewell: done,
    ...parts,
  };
  const drain = new Drain(cause, { worker, times, clock, phases: new DrainPhases(nowMs), nowMs, log });
  const table = () =>
    Object.fromEntries(
      (lines.find(({ message }) => message === "stopped")?.phases ?? []).map((row) => [row.phase, row]),
    );
  return { drain, clock, giveBack, table };
}

describe("a drain", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it("takes no time where there is nothing to wait for, and tells of each phase", async () => {
    const { drain, table } = setUp(signal);
    expect(await drain.run()).toBe(true);
    expect(Object.keys(table())).toEqual(["intake", "tasks", "messages", "cleanup", "farewell", "workspaces"]);
    for (const row of Object.values(table())) expect(row).toMatchObject({ ms: 0, outcome: "ok" });
  });

  it("is over at its deadline though everything hangs, and no phase keeps another from being run", async () => {
    const parts = { stopIntake: never, untilIdle: never, settleMessages: never, cleanUp: never, sayFarewell: never };
    const { drain, giveBack, table } = setUp(signal, {
      ...parts,
      removals: () => [
        ["a", never],
        ["b", never],
      ],
    });
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(giveBack).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(giveBack).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(14_999);
    expect(table()).toEqual({});
    await vi.advanceTimersByTimeAsync(1);
    expect(await over).toBe(true);
    expect(table()).toMatchObject({
      intake: { startedMs: 0, ms: 22_500, outcome: "late" },
      tasks: { startedMs: 0, ms: 10_000, outcome: "late" },
      messages: { startedMs: 24_500, ms: 500, outcome: "late" },
      cleanup: { outcome: "late" },
      farewell: { startedMs: 24_500, ms: 500, outcome: "late" },
      a: { startedMs: 24_500, ms: 500, outcome: "late" },
      b: { startedMs: 24_500, ms: 500, outcome: "late" },
    });
  });

  it("goes on when phases fail, and says how", async () => {
    const fail = (what: string) => () => Promise.reject(new Error(what));
    const parts = { stopIntake: fail("1"), untilIdle: fail("2"), settleMessages: fail("3"), cleanUp: fail("4") };
    const { drain, table } = setUp(signal, { ...parts, sayFarewell: fail("5"), removals: () => [["a", fail("6")]] });
    expect(await drain.run()).toBe(true);
    const failures = Object.values(table()).map(({ phase, outcome, detail }) => `${phase} ${outcome} ${detail}`);
    expect(failures).toEqual([
      "intake failed 1",
      "tasks failed 2",
      "messages failed 3",
      "cleanup failed 4",
      "farewell failed 5",
      "a failed 6",
    ]);
  });

  it("can be undone while tasks finish, if the control plane alone asked for it", async () => {
    const { drain, clock, giveBack } = setUp(requested, { untilIdle: never });
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(drain.undo()).toBe(true);
    expect(await over).toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(giveBack).not.toHaveBeenCalled();
    expect(clock.signal("finish").aborted).toBe(false);
  });

  it.each([
    ["a signal began it", signal, undefined, 0],
    ["a signal joined it", requested, signal, 0],
    ["tasks were told to end", requested, undefined, 10_000],
  ] as const)("cannot be undone when %s", async (_name, cause, joined, afterMs) => {
    const { drain, giveBack } = setUp(cause, { untilIdle: never });
    const over = drain.run();
    if (joined !== undefined) drain.join(joined);
    await vi.advanceTimersByTimeAsync(afterMs);
    expect(drain.undo()).toBe(false);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(await over).toBe(true);
    expect(giveBack).toHaveBeenCalledOnce();
  });

  it("is cut short by a machine that goes sooner, also while it drains, and says so to the tasks", async () => {
    const { drain, giveBack } = setUp(signal, { untilIdle: never });
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(1_000);
    drain.join({ kind: "interrupted", detail: "a notice", endsAtMs: Date.now() + 6_000 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(giveBack).toHaveBeenCalledWith(expect.objectContaining({ code: "spot_interrupted" }));
    await vi.advanceTimersByTimeAsync(4_000);
    expect(await over).toBe(true);
  });
});
