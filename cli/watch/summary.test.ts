import { describe, expect, it } from "vitest";
import { viewTask } from "../../shared/api-client/job-view.ts";
import { createFakeJob, type FakeJob } from "../../test/support/fake-job.ts";
import { plainStyle } from "../terminal/style.ts";
import { renderSummary, type SummaryOptions } from "./summary.ts";

const options: SummaryOptions = {
  width: 100,
  style: plainStyle,
  nowMs: 0,
  maxTasks: 20,
  listCompleted: false,
  hint: (command) => `sluice ${command}`,
};

function summarize(fake: FakeJob, more: Partial<SummaryOptions> = {}, artifacts = { tasks: 0, bytes: 0 }): string[] {
  const job = { ...fake.job, job: "hello-01k", createdAt: at(0), endedAt: at(2_100) };
  const tasks = [...fake.tasks.values()].map((task) => ({ ...viewTask(task), startedAtMs: 0, endedAtMs: 1_500 }));
  const warnings = tasks.filter(({ warning }) => warning).length;
  return renderSummary({ job, tasks, warnings, artifacts }, { ...options, ...more });
}

function at(ms: number): string {
  return new Date(ms).toISOString();
}

function endAll(fake: FakeJob, ends: Record<string, Parameters<FakeJob["move"]>[1]>): FakeJob {
  for (const [task, state] of Object.entries(ends)) {
    fake.move(task, "running");
    const detail = `step-1 ended ${state}`;
    fake.move(task, state, state === "completed" ? {} : { reason: { code: "exit_code", detail, fault: "user" } });
  }
  return fake;
}

describe("the summary", () => {
  it("says in its last line how a job completed", () => {
    const fake = endAll(createFakeJob("hello", ["a", "b", "c"]), { a: "completed", b: "completed", c: "completed" });
    expect(summarize(fake)).toEqual(["✅ 3 completed", "hello-01k: completed, 3 of 3 tasks in 2.1 s"]);
  });

  it("lists what did not complete with its reason and never calls that completed", () => {
    const fake = endAll(createFakeJob("hello", ["a", "b", "c"]), { a: "completed", b: "failed", c: "timed_out" });
    expect(summarize(fake)).toEqual([
      "❌  b  1.5 s  step-1 ended failed",
      "⏱️  c  1.5 s  step-1 ended timed_out",
      "",
      "✅ 1 completed   ❌ 1 failed   ⏱️ 1 timed out",
      "hello-01k: failed, 2 of 3 tasks failed in 2.1 s",
    ]);
  });

  it("lists completed tasks of a small job too where there is no other record of them", () => {
    const fake = endAll(createFakeJob("hello", ["a", "b"]), { a: "completed", b: "skipped" });
    const lines = summarize(fake, { listCompleted: true });
    expect(lines[0]).toBe("✅  a  1.5 s");
    expect(lines.at(-1)).toBe("hello-01k: completed, 1 of 2 tasks in 2.1 s, 1 skipped");
  });

  it("shows the worst first where not all fit, and where the others are", () => {
    const names = Array.from({ length: 50 }, (_, index) => `t${index}`);
    const ends = Object.fromEntries(names.map((name) => [name, name === "t49" ? "failed" : "skipped"] as const));
    const lines = summarize(endAll(createFakeJob("hello", names), ends), { maxTasks: 3 });
    expect(lines[0]).toContain("❌  t49");
    expect(lines[3]).toBe("   … and 47 more: sluice show hello-01k");
  });

  it("says who ended an aborted job", () => {
    const fake = createFakeJob("hello", ["a", "b"]);
    fake.move("a", "running");
    fake.move("a", "completed");
    fake.requestCancel("cancelled by ann");
    fake.move("b", "aborted");
    const lines = summarize(fake);
    expect(lines).toContain("ended early: cancelled by ann");
    expect(lines.at(-1)).toBe("hello-01k: aborted, 1 of 2 tasks completed in 2.1 s");
  });

  it("tells how to fetch artifacts", () => {
    const fake = endAll(createFakeJob("hello", ["a"]), { a: "completed" });
    const lines = summarize(fake, {}, { tasks: 1, bytes: 1_234_567 });
    expect(lines).toContain("1 task has artifacts (1.2 MB): sluice artifact hello-01k -o out");
  });
});
