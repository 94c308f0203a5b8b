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
const gone = () => Promise.resolve(false);

function setUp(cause: DrainCause, parts: Partial<DrainedWorker> = {}) {
  const nowMs = () => performance.now();
  const clock = new DrainClock(nowMs);
  const lines: { message: string; phases?: PhaseRow[]; ms?: number }[] = [];
  const log = createLogger("test", { level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } });
  const giveBack = vi.fn();
  const goOn = vi.fn();
  const remove = vi.fn(done);
  const worker: DrainedWorker = {
    stopIntake: done,
    untilIdle: done,
    giveBack,
    settleMessages: done,
    cleanUp: done,
    removals: () => [["workspaces", remove]],
    sayFarewell: gone,
    goOn,
    ...parts,
  };
  const drain = new Drain(cause, { worker, times, clock, phases: new DrainPhases(nowMs), nowMs, log });
  const table = () =>
    Object.fromEntries(
      (lines.find(({ message }) => message === "stopped")?.phases ?? []).map((row) => [row.phase, row]),
    );
  const begin = (anew: DrainCause) =>
    new Drain(anew, { worker, times, clock, phases: new DrainPhases(nowMs), nowMs, log });
  return { drain, clock, giveBack, goOn, remove, table, begin };
}

/** A promise that the test settles. */
function gate<T = undefined>() {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { wait: () => promise, open: resolve };
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

  describe.each([
    ["while tasks finish", { untilIdle: never }, 9_000, false],
    ["while tasks end", { untilIdle: never }, 12_000, true],
    ["while messages are given back", { settleMessages: never }, 0, true],
    ["while attempts are cleaned up", { cleanUp: never }, 0, true],
    [
      "while everything hangs",
      { stopIntake: never, untilIdle: never, settleMessages: never, cleanUp: never },
      23_900,
      true,
    ],
  ] as const)("that was asked for is undone %s", (_name, parts, afterMs, gaveBack) => {
    it("and the worker goes on with all it has", async () => {
      const sayFarewell = vi.fn(gone);
      const { drain, clock, giveBack, goOn, remove } = setUp(requested, { ...parts, sayFarewell });
      const over = drain.run();
      await vi.advanceTimersByTimeAsync(afterMs);
      expect(drain.undo()).toBe(true);
      expect(await over).toBe(false);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(giveBack).toHaveBeenCalledTimes(gaveBack ? 1 : 0);
      expect(goOn).toHaveBeenCalledOnce();
      for (const final of [remove, sayFarewell]) expect(final).not.toHaveBeenCalled();
      // Who begins now has a whole drain before it.
      for (const moment of ["finish", "kill", "keep", "commit", "report"] as const) {
        expect(clock.signal(moment).aborted).toBe(false);
      }
    });

    it("and drains anew afterwards", async () => {
      let hangs = true;
      const hung = Object.fromEntries(Object.keys(parts).map((name) => [name, () => (hangs ? never() : done())]));
      const { drain, remove, begin } = setUp(requested, hung);
      const over = drain.run();
      await vi.advanceTimersByTimeAsync(afterMs);
      expect(drain.undo()).toBe(true);
      expect(await over).toBe(false);
      hangs = false;
      expect(await begin(signal).run()).toBe(true);
      expect(remove).toHaveBeenCalledOnce();
    });

    it("but not where a signal has joined it", async () => {
      const { drain, goOn, remove } = setUp(requested, parts);
      const over = drain.run();
      await vi.advanceTimersByTimeAsync(afterMs);
      drain.join(signal);
      expect(drain.undo()).toBe(false);
      await vi.advanceTimersByTimeAsync(25_000);
      expect(await over).toBe(true);
      expect(drain.cause).toEqual(signal);
      expect(goOn).not.toHaveBeenCalled();
      expect(remove).toHaveBeenCalledOnce();
    });
  });

  it("that a signal began is not undone by whoever asked for it too", async () => {
    const { drain } = setUp(signal, { untilIdle: never });
    const over = drain.run();
    drain.join(requested);
    expect(drain.undo()).toBe(false);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(await over).toBe(true);
  });

  it("ends what is left of one that was undone when the next one comes to it", async () => {
    const { drain, clock, begin } = setUp(requested, { untilIdle: never });
    const ended = clock.signal("finish");
    const left = clock.signal("keep");
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(12_000);
    drain.undo();
    await over;
    await vi.advanceTimersByTimeAsync(60_000);
    expect([ended.aborted, left.aborted]).toEqual([true, false]);
    const next = begin(signal).run();
    await vi.advanceTimersByTimeAsync(22_500);
    expect(left.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(2_500);
    expect(await next).toBe(true);
  });

  it("asks before it removes anything whether it was meant, and stays where it was not", async () => {
    const answer = gate<boolean>();
    const { drain, goOn, remove } = setUp(requested, { sayFarewell: answer.wait });
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(0);
    // The answer decides, not what an earlier heartbeat heard.
    expect(drain.undo()).toBe(false);
    expect([remove.mock.calls.length, goOn.mock.calls.length]).toEqual([0, 0]);
    answer.open(true);
    expect(await over).toBe(false);
    expect([remove.mock.calls.length, goOn.mock.calls.length]).toEqual([0, 1]);
  });

  it("says its farewell again, for good, where a signal comes while it asks", async () => {
    const answer = gate<boolean>();
    const sayFarewell = vi.fn((mayStay: boolean) => (mayStay ? answer.wait() : gone()));
    const { drain, goOn, remove } = setUp(requested, { sayFarewell });
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(0);
    drain.join(signal);
    answer.open(true);
    expect(await over).toBe(true);
    expect(sayFarewell.mock.calls).toEqual([[true], [false]]);
    expect([remove.mock.calls.length, goOn.mock.calls.length]).toEqual([1, 0]);
  });

  it.each([{ cleanUp: never }, { untilIdle: never }])("asks in time though something hangs: %o", async (parts) => {
    const answer = gate<boolean>();
    const sayFarewell = vi.fn(answer.wait);
    const { drain, goOn, remove } = setUp(requested, { ...parts, sayFarewell });
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(24_400);
    expect(sayFarewell.mock.calls).toEqual([[true]]);
    answer.open(true);
    expect(await over).toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([remove.mock.calls.length, goOn.mock.calls.length]).toEqual([0, 1]);
  });

  it("removes nothing before what is being cleaned up, unless that hangs", async () => {
    const { drain, remove } = setUp(requested, { cleanUp: never });
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(24_400);
    expect(remove).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(100);
    expect(await over).toBe(true);
    expect(remove).toHaveBeenCalledOnce();
  });

  it.each([
    ["fails", 0, () => Promise.reject(new Error("no answer"))],
    ["hangs", 25_000, never],
  ] as const)("ends, and says so, where its question %s", async (_how, afterMs, ask) => {
    const sayFarewell = vi.fn((mayStay: boolean) => (mayStay ? ask() : gone()));
    const { drain, goOn, remove } = setUp(requested, { sayFarewell });
    const over = drain.run();
    await vi.advanceTimersByTimeAsync(afterMs);
    expect(await over).toBe(true);
    expect(sayFarewell.mock.calls).toEqual([[true], [false]]);
    expect([remove.mock.calls.length, goOn.mock.calls.length]).toEqual([1, 0]);
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
