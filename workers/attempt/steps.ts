import { classifyExitCode } from "../../shared/domain/exit-code.ts";
import type { AttemptOutcome, StepResult } from "../../shared/domain/manifest.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import type { StepSpec } from "../../shared/jobfile/job-spec.ts";
import {
  type PreparedStep,
  type RunningStep,
  type StepExit,
  StepFault,
  type StepOutput,
  type TaskSandbox,
} from "../executors/executor.ts";
import { untilAborted } from "../retry.ts";
import { endWithGrace } from "./end-with-grace.ts";
import { AttemptInterrupted, formatDuration, outcomeOfInterrupt } from "./interrupt.ts";

export interface StepsOptions {
  steps: readonly StepSpec[];
  /** Where steps of this kind run; throws a `StepFault` where the worker does not run them. */
  sandboxFor: (kind: StepSpec["kind"]) => TaskSandbox;
  openOutput: (index: number, name: string) => StepOutput & { close: () => void };
  /** What the first step waits for beside its own preparation; a rejection ends the task. */
  ready?: Promise<void> | undefined;
  killGraceMs: number;
  /** Cuts every grace period short: a drain has no more time for it. */
  killNow: AbortSignal;
  /** Ends the running step with grace; its reason is an `AttemptInterrupted`. */
  stop: AbortSignal;
  /** Ends the running step at once: nobody wants to know any more. */
  abandon: AbortSignal;
  onStepStarted: (index: number, running: RunningStep) => void;
  nowMs: () => number;
}

/** What the steps came to; without an outcome the task is given back. */
export interface StepsEnd {
  outcome: AttemptOutcome | undefined;
  steps: StepResult[];
}

/** Runs steps in order until one does not complete; that one decides how the task ends. Throws only when abandoned. */
export async function runSteps(options: StepsOptions): Promise<StepsEnd> {
  const results: StepResult[] = options.steps.map((spec, index) => ({ index: index + 1, name: spec.name }));
  const either = AbortSignal.any([options.stop, options.abandon]);
  let ahead = prepareStep(options, 0, either);
  for (const [index, spec] of options.steps.entries()) {
    const result = results[index];
    if (result === undefined) break;
    const outcome = await endWithOutcome(options, async () => {
      const [prepared] = await Promise.all([ahead, options.ready]);
      return runStep(options, prepared, spec, result, () => {
        // The next container is made while this one runs.
        ahead = prepareStep(options, index + 1, either);
      });
    });
    options.abandon.throwIfAborted();
    // A step that was prepared ahead goes with its sandbox.
    if (outcome === undefined || outcome.state !== "completed") return { outcome, steps: results };
  }
  return { outcome: { state: "completed", exitCode: 0 }, steps: results };
}

/** Turns what ends a step early into the task's outcome; what nobody foresaw is the infrastructure's fault. */
async function endWithOutcome(
  options: StepsOptions,
  work: () => Promise<AttemptOutcome | undefined>,
): Promise<AttemptOutcome | undefined> {
  try {
    return await work();
  } catch (error) {
    options.abandon.throwIfAborted();
    if (options.stop.aborted && options.stop.reason instanceof AttemptInterrupted) {
      return outcomeOfInterrupt(options.stop.reason.interrupt);
    }
    if (error instanceof StepFault) return { state: "failed", reason: error.reason };
    const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { state: "failed", reason: reasonFor("internal", `the worker failed to run the step: ${detail}`) };
  }
}

function prepareStep(options: StepsOptions, index: number, signal: AbortSignal): Promise<PreparedStep | undefined> {
  const spec = options.steps[index];
  if (spec === undefined) return Promise.resolve(undefined);
  const prepared = (async () => {
    signal.throwIfAborted();
    return options.sandboxFor(spec.kind).prepareStep({ index: index + 1, name: spec.name, spec }, signal);
  })();
  // Its failure is met when its turn comes, if it does.
  prepared.catch(() => undefined);
  return prepared;
}

async function runStep(
  options: StepsOptions,
  prepared: PreparedStep | undefined,
  spec: StepSpec,
  result: StepResult,
  onStarted: () => void,
): Promise<AttemptOutcome | undefined> {
  if (prepared === undefined) throw new Error(`step ${result.index} was not prepared`);
  const output = options.openOutput(result.index, spec.name);
  try {
    const running = await prepared.start(output);
    result.startedAt = new Date(options.nowMs()).toISOString();
    options.onStepStarted(result.index, running);
    onStarted();
    const { exit, cause } = await superviseStep(running, spec, options);
    result.endedAt = new Date(options.nowMs()).toISOString();
    result.exitCode = exit.exitCode;
    if (exit.outOfMemory) result.outOfMemory = true;
    if (cause === "timed_out") {
      const detail = `${spec.name} did not end within its timeout of ${formatDuration(spec.timeoutMs ?? 0)}`;
      return { state: "timed_out", reason: reasonFor("timed_out", detail) };
    }
    // What a step answers to SIGTERM says nothing about the task, not even 0.
    if (cause === "stopped") options.stop.throwIfAborted();
    if (exit.outOfMemory && exit.exitCode === 0) await output.write("stderr", lackedMemoryNotice);
    return outcomeOfExit(exit, spec.name);
  } finally {
    output.close();
  }
}

/** A step that says itself that all is well has completed; who reads its log learns what it made do without. */
const lackedMemoryNotice = Buffer.from(
  "sluice: the kernel killed a process of this step for lack of memory; the step ended with 0 all the same\n",
);

function outcomeOfExit(exit: StepExit, stepName: string): AttemptOutcome {
  if (exit.outOfMemory && exit.exitCode !== 0) {
    const detail = `${stepName} ran out of memory (exit code ${exit.exitCode})`;
    return { state: "failed", exitCode: exit.exitCode, reason: reasonFor("out_of_memory", detail) };
  }
  return { ...classifyExitCode(exit.exitCode, stepName), exitCode: exit.exitCode };
}

/** Waits for a step's end, or brings it about: SIGTERM, a grace period, SIGKILL. */
async function superviseStep(
  running: RunningStep,
  spec: StepSpec,
  options: StepsOptions,
): Promise<{ exit: StepExit; cause: "own" | "stopped" | "timed_out" }> {
  const timeout = new AbortController();
  const timer = spec.timeoutMs === undefined ? undefined : setTimeout(() => timeout.abort(), spec.timeoutMs);
  try {
    const ownEnd = await untilAborted(running.ended, AbortSignal.any([options.stop, options.abandon, timeout.signal]));
    if (ownEnd !== undefined) return { exit: ownEnd, cause: "own" };
    const cause = options.stop.aborted || options.abandon.aborted ? "stopped" : "timed_out";
    const hurry = AbortSignal.any([options.abandon, options.killNow]);
    return { exit: await endWithGrace(running, options.killGraceMs, hurry), cause };
  } finally {
    clearTimeout(timer);
  }
}
