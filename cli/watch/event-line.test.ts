import { describe, expect, it } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import { applyEvent, startView } from "../../shared/api-client/job-view.ts";
import { createFakeJob, type FakeJob } from "../../test/support/fake-job.ts";
import { plainStyle } from "../terminal/style.ts";
import { describeEvent, everyEventTasks } from "./event-line.ts";

/** The lines of a job's events, one second apart. */
function linesOf(fake: FakeJob): (string | undefined)[] {
  const view = startView({ ...fake.job, counts: { ...fake.job.counts }, lastEvent: 0 }, []);
  return fake.events.map((event, index) => {
    const timed: JobEvent = { ...event, at: new Date(index * 1_000).toISOString() };
    applyEvent(view, timed);
    return describeEvent(timed, view, plainStyle);
  });
}

describe("the line of an event", () => {
  it("tells each move of a small job's tasks with its reason", () => {
    const fake = createFakeJob("hello", ["a", "b"]);
    fake.move("a", "running");
    fake.move("a", "queued", { reason: { code: "worker_lost", detail: "w-1 is gone", fault: "infrastructure" } });
    fake.move("a", "running");
    fake.move("a", "completed");
    fake.requestCancel("cancelled by ann");
    fake.move("b", "aborted", { reason: { code: "cancelled", detail: "cancelled by ann", fault: "user" } });
    expect(linesOf(fake)).toEqual([
      `${fake.id}: submitted, 2 tasks, pool default`,
      `${fake.id}: running`,
      "▶  a running",
      "↻  a queued again: w-1 is gone (infrastructure)",
      "▶  a running, attempt 2",
      "✅ a completed after 3.0 s",
      `${fake.id}: ending: cancelled by ann`,
      "⏹️ b aborted: cancelled by ann",
      undefined,
    ]);
  });

  it("leaves out what goes well in a large job, never what goes wrong", () => {
    const names = Array.from({ length: everyEventTasks + 1 }, (_, index) => `t${index}`);
    const fake = createFakeJob("big", names);
    fake.move("t0", "running");
    fake.move("t0", "completed");
    fake.move("t1", "running");
    fake.move("t1", "failed", { reason: { code: "exit_code", detail: "step-1 exited with 7", fault: "user" } });
    const told = linesOf(fake).filter((line) => line !== undefined);
    expect(told.slice(2)).toEqual(["❌ t1 failed after 1.0 s: step-1 exited with 7"]);
  });
});
