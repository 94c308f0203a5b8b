import { describe, expect, it, vi } from "vitest";
import { reasonFor } from "../../shared/domain/reason.ts";
import type { StepSpec } from "../../shared/jobfile/job-spec.ts";
import { type RunningStep, type StepExit, StepFault, type StepLaunch } from "../executors/executor.ts";
import { AttemptInterrupted, type Interrupt } from "./interrupt.ts";
import { runSteps, type StepsOptions } from "./steps.ts";

function spec(name: string, more: Partial<StepSpec> = {}): StepSpec {
  return { kind: "process", name, entry: { run: name }, env: {}, ...more } as StepSpec;
}

/** A step under the test's control, with what was done to it. */
class FakeStep implements RunningStep {
  readonly #end = Promise.withResolvers<StepExit>();
  readonly ended = this.#end.promise;
  readonly signals: string[] = [];
  readonly #onSignal: (signal: string, step: FakeStep) => void;

  constructor(onSignal: (signal: string, step: FakeStep) => void) {
    this.#onSignal = onSignal;
  }

  exit(exitCode: number, outOfMemory = false): void {
    this.#end.resolve({ exitCode, outOfMemory });
  }

  terminate(): void {
    this.signals.push("TERM");
    this.#onSignal("TERM", this);
  }

  kill(): void {
    this.signals.push("KILL");
    this.exit(137);
  }
}

function setUp(
  steps: StepSpec[],
  options: {
    onStart?: (step: FakeStep, launch: StepLaunch) => void;
    onSignal?: (signal: string, step: FakeStep) => void;
    graceMs?: number;
  } = {},
) {
  const trace: string[] = [];
  const running: FakeStep[] = [];
  const written: string[] = [];
  const stop = new AbortController();
  const abandon = new AbortController();
  const prepare = vi.fn(async (launch: StepLaunch) => {
    trace.push(`prepare ${launch.name}`);
    return {
      start: async () => {
        trace.push(`start ${launch.name}`);
        const step = new FakeStep(options.onSignal ?? (() => undefined));
        running.push(step);
        options.onStart?.(step, launch);
        return step;
      },
    };
  });
  const stepsOptions: StepsOptions = {
    steps,
    sandboxFor: () => ({ prepareStep: prepare, close: async () => undefined, clearWorkspace: async () => undefined }),
    openOutput: () => ({ write: (_stream, bytes) => void written.push(bytes.toString()), close: () => undefined }),
    killGraceMs: options.graceMs ?? 20,
    killNow: new AbortController().signal,
    stop: stop.signal,
    abandon: abandon.signal,
    onStepStarted: () => undefined,
    nowMs: () => 0,
  };
  const interrupt = (what: Interrupt) => stop.abort(new AttemptInterrupted(what));
  return { trace, running, written, prepare, abandon, interrupt, run: () => runSteps(stepsOptions) };
}

const cancelled: Interrupt = { kind: "cancelled", cause: "user", detail: "by me" };

describe("runSteps", () => {
  it("runs steps in order and prepares the next one while one runs", async () => {
    const { trace, running, run } = setUp([spec("a"), spec("b")]);
    const end = run();
    await vi.waitFor(() => expect(trace).toEqual(["prepare a", "start a", "prepare b"]));
    running[0]?.exit(0);
    await vi.waitFor(() => expect(trace.at(-1)).toBe("start b"));
    running[1]?.exit(0);
    expect((await end).outcome).toEqual({ state: "completed", exitCode: 0 });
  });

  it("ends with the first step that does not complete", async () => {
    const { trace, run } = setUp([spec("a"), spec("b")], { onStart: (step) => step.exit(43) });
    const end = await run();
    expect(end.outcome).toMatchObject({ state: "skipped", exitCode: 43 });
    expect(end.steps).toMatchObject([
      { index: 1, exitCode: 43 },
      { index: 2, name: "b" },
    ]);
    expect(trace).not.toContain("start b");
  });

  it("tells a lack of memory, whatever the exit code", async () => {
    const { run } = setUp([spec("a")], { onStart: (step) => step.exit(1, true) });
    expect((await run()).outcome).toMatchObject({ state: "failed", exitCode: 1, reason: { code: "out_of_memory" } });
  });

  it("leaves a step completed that says so itself, and notes what its processes lacked", async () => {
    const { written, run } = setUp([spec("a")], { onStart: (step) => step.exit(0, true) });
    const end = await run();
    expect(end.outcome).toEqual({ state: "completed", exitCode: 0 });
    expect(end.steps).toMatchObject([{ exitCode: 0, outOfMemory: true }]);
    expect(written).toEqual([expect.stringMatching(/^sluice: the kernel killed a process of this step.*\n$/)]);
  });

  it("asks a step to end when it is cancelled, and does not take its answer for a success", async () => {
    const { running, interrupt, run } = setUp([spec("a")], { onSignal: (_signal, step) => step.exit(0) });
    const end = run();
    await vi.waitFor(() => expect(running).toHaveLength(1));
    interrupt(cancelled);
    expect(await end).toMatchObject({
      outcome: { state: "aborted", reason: { code: "cancelled", detail: "by me" } },
      steps: [{ exitCode: 0 }],
    });
    expect(running[0]?.signals).toEqual(["TERM"]);
  });

  it("kills a step that does not end within the grace period", async () => {
    const { running, interrupt, run } = setUp([spec("a")]);
    const end = run();
    await vi.waitFor(() => expect(running).toHaveLength(1));
    interrupt({ kind: "timed_out", detail: "too long" });
    expect((await end).outcome).toMatchObject({ state: "timed_out", reason: { detail: "too long" } });
    expect(running[0]?.signals).toEqual(["TERM", "KILL"]);
  });

  it("ends a step at its own timeout", async () => {
    const { running, run } = setUp([spec("a", { timeoutMs: 5 })]);
    expect((await run()).outcome).toMatchObject({
      state: "timed_out",
      reason: { detail: "a did not end within its timeout of 5ms" },
    });
    expect(running[0]?.signals).toEqual(["TERM", "KILL"]);
  });

  it("gives the task back without an outcome when the worker drains", async () => {
    const { running, interrupt, run } = setUp([spec("a")], { onSignal: (_signal, step) => step.exit(143) });
    const end = run();
    await vi.waitFor(() => expect(running).toHaveLength(1));
    interrupt({ kind: "drained", reason: reasonFor("drained", "stopping") });
    expect((await end).outcome).toBeUndefined();
  });

  it("kills at once and tells nothing when the lease is lost, also within the grace period", async () => {
    const { running, interrupt, abandon, run } = setUp([spec("a")], { graceMs: 60_000 });
    const end = run();
    await vi.waitFor(() => expect(running).toHaveLength(1));
    interrupt(cancelled);
    await vi.waitFor(() => expect(running[0]?.signals).toEqual(["TERM"]));
    abandon.abort(new Error("lost"));
    await expect(end).rejects.toThrow("lost");
    expect(running[0]?.signals).toEqual(["TERM", "KILL"]);
  });

  it("starts nothing when it is cancelled before the first step, or while one is prepared", async () => {
    const early = setUp([spec("a")]);
    early.interrupt(cancelled);
    expect((await early.run()).outcome).toMatchObject({ state: "aborted" });
    expect(early.trace).toEqual([]);
    const pulling = setUp([spec("a")]);
    pulling.prepare.mockImplementation(
      ((_launch: StepLaunch, signal: AbortSignal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))) as never,
    );
    const end = pulling.run();
    pulling.interrupt(cancelled);
    expect((await end).outcome).toMatchObject({ state: "aborted", reason: { code: "cancelled" } });
  });

  it("passes on why a step could not be run, and blames the infrastructure for what nobody foresaw", async () => {
    const missing = setUp([spec("a")]);
    missing.prepare.mockRejectedValue(new StepFault(reasonFor("image_unavailable", "no such image")));
    expect((await missing.run()).outcome).toEqual({
      state: "failed",
      reason: { code: "image_unavailable", detail: "no such image", fault: "infrastructure" },
    });
    const broken = setUp([spec("a")]);
    broken.prepare.mockRejectedValue(new RangeError("surprise"));
    expect((await broken.run()).outcome).toMatchObject({
      reason: { code: "internal", detail: expect.stringContaining("RangeError: surprise") },
    });
  });
});
