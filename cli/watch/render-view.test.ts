import { describe, expect, it } from "vitest";
import type { JobView, TaskView } from "../../shared/api-client/job-view.ts";
import { taskCounts } from "../../shared/domain/task-counts.ts";
import type { TaskState } from "../../shared/domain/task-state.ts";
import { plainStyle } from "../terminal/style.ts";
import { textWidth } from "../terminal/text.ts";
import { renderView } from "./render-view.ts";

const frame = { width: 80, height: 20, nowMs: 60_000, style: plainStyle };

function task(name: string, status: TaskState, more: Partial<TaskView> = {}): TaskView {
  const ended = status !== "queued" && status !== "pending" && status !== "running";
  return {
    task: name,
    status,
    attempt: status === "queued" ? 0 : 1,
    workerId: undefined,
    startedAtMs: status === "queued" ? undefined : 50_000,
    endedAtMs: ended ? 52_500 : undefined,
    exitCode: undefined,
    warning: false,
    reason: undefined,
    artifactCount: 0,
    artifactBytes: 0,
    ...more,
  };
}

function jobView(tasks: TaskView[], more: Partial<JobView> = {}): JobView {
  const counts = taskCounts();
  for (const { status } of tasks) counts[status]++;
  return {
    job: "hello-01k",
    name: "hello",
    pool: "default",
    status: "running",
    total: tasks.length,
    counts,
    warnings: tasks.filter(({ warning }) => warning).length,
    createdAtMs: 48_000,
    endedAtMs: undefined,
    cancel: undefined,
    tasks: new Map(tasks.map((one) => [one.task, one])),
    running: new Set(tasks.filter(({ status }) => status === "running").map((one) => one.task)),
    recent: tasks.filter(({ endedAtMs }) => endedAtMs !== undefined).map((one) => one.task),
    waiters: new Map(),
    countedSeq: 1,
    ...more,
  };
}

const exitCode = (detail: string) => ({ code: "exit_code", detail, fault: "user" }) as const;

describe("the live view", () => {
  it("shows every task of a small job in its place", () => {
    const view = jobView([
      task("unit", "completed"),
      task("flaky", "failed", { warning: true, reason: exitCode("step-1 exited with 42: failures") }),
      task("smoke", "failed", { reason: exitCode("step-1 exited with 7") }),
      task("lint", "skipped", { reason: exitCode("step-1 exited with 43: prerequisite failed") }),
      task("slow", "timed_out", { reason: { code: "timed_out", detail: "", fault: "user" } }),
      task("gone", "aborted", { reason: { code: "cancelled", detail: "cancelled by ann", fault: "user" } }),
      task("e2e", "running", { attempt: 2 }),
      task("docs", "queued"),
    ]);
    expect(renderView(view, frame)).toEqual([
      "hello-01k  running  12 s",
      "██████████████████████████████████████████████▒▒▒▒▒▒▒░░░░░░░  6 of 8",
      "✅ 1 completed   ⚠️ 1 with failures   ❌ 1 failed   ⏱️ 1 timed out",
      "⏭️ 1 skipped   ⏹️ 1 aborted   ▶ 1 running   · 1 queued",
      "",
      "✅  unit   2.5 s",
      "⚠️  flaky  2.5 s  step-1 exited with 42: failures",
      "❌  smoke  2.5 s  step-1 exited with 7",
      "⏭️  lint   2.5 s  step-1 exited with 43: prerequisite failed",
      "⏱️  slow   2.5 s  timed out",
      "⏹️  gone   2.5 s  cancelled by ann",
      "▶   e2e     10 s  attempt 2",
      "·   docs          queued",
    ]);
  });

  it("keeps within its room at 10,000 tasks and still shows what runs and what went wrong", () => {
    const tasks = Array.from({ length: 10_000 }, (_, index) => {
      if (index === 4_000) return task("bad", "failed", { reason: exitCode("step-1 exited with 7") });
      return task(`task-${index}`, index < 5_000 ? "completed" : index < 5_100 ? "running" : "queued");
    });
    const view = jobView(tasks);
    view.recent = ["bad", ...view.recent.filter((name) => name !== "bad").slice(-100)];
    const lines = renderView(view, frame);
    expect(lines.length).toBeLessThanOrEqual(frame.height);
    expect(lines[1]).toMatch(/ 5,000 of 10,000$/);
    expect(lines).toContainEqual(expect.stringMatching(/… and \d+ more running/));
    expect(lines).toContainEqual(expect.stringContaining("▶   task-5000"));
    expect(lines).toContainEqual(expect.stringContaining("❌  bad"));
    expect(lines).toContainEqual(expect.stringContaining("✅  task-4999"));
  });

  it("is never wider or higher than its room, however small that is", () => {
    const tasks = Array.from({ length: 60 }, (_, index) =>
      task(`a-rather-long-name-of-a-task-${index}`, index % 2 ? "failed" : "running", {
        reason: exitCode("a rather long explanation of what happened in this task and why"),
      }),
    );
    for (const width of [30, 40, 79, 200]) {
      for (const height of [1, 2, 3, 5, 8, 13, 100]) {
        const lines = renderView(jobView(tasks), { ...frame, width, height, connection: "connection lost" });
        expect(lines.length).toBeLessThanOrEqual(height);
        expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(width);
      }
    }
  });

  it("says why a task waits again, that the job is being ended, and that the connection is lost", () => {
    const lost = { code: "worker_lost", detail: "worker w-1 did not answer", fault: "infrastructure" } as const;
    const view = jobView([task("a", "queued", { attempt: 1, reason: lost })], {
      cancel: { cause: "user", detail: "cancelled by ann" },
    });
    const lines = renderView(view, { ...frame, connection: "connection lost; trying again" });
    expect(lines).toContain("ending: cancelled by ann");
    expect(lines).toContain("connection lost; trying again");
    expect(lines.at(-1)).toContain("queued again: worker w-1 did not answer (infrastructure)");
  });

  it("shows no control characters that came from elsewhere", () => {
    const view = jobView([
      task("evil\u001b[2J", "failed", { reason: exitCode("line one\nline two\u001b]0;title\u0007") }),
    ]);
    const text = renderView(view, frame).join("");
    expect(text).toContain("evil·[2J");
    expect(text).toContain("line one line two·]0;title·");
  });
});
