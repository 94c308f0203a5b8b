import { describe, expect, it } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import { createFakeJob, type FakeJob } from "../../test/support/fake-job.ts";
import { countAll } from "../domain/task-counts.ts";
import { applyEvent, type JobView, recentLength, startView } from "./job-view.ts";

function viewOf({ job, tasks }: FakeJob): JobView {
  return startView(job, tasks.values());
}

/** A view that saw the job from its first event on, with no list of tasks. */
function replay({ job, events }: FakeJob): JobView {
  const view = startView({ ...job, counts: { ...job.counts } }, []);
  for (const event of events) applyEvent(view, event);
  return view;
}

describe("the view of a job", () => {
  it("starts from what the API tells", () => {
    const fake = createFakeJob("hello", ["a", "b", "c"]);
    fake.move("a", "running");
    fake.move("a", "failed", { exitCode: 42, warning: true });
    fake.move("b", "running");
    const view = viewOf(fake);
    expect(view).toMatchObject({ status: "running", total: 3, warnings: 1, recent: ["a"] });
    expect([...view.running]).toEqual(["b"]);
    expect(view.counts).toMatchObject({ failed: 1, running: 1, queued: 1 });
  });

  it("follows events to the same end that the API tells", () => {
    const fake = createFakeJob("hello", ["a", "b"]);
    const view = viewOf(fake);
    let seen = fake.events.length;
    for (const task of ["a", "b"]) {
      fake.move(task, "running");
      fake.move(task, task === "a" ? "completed" : "timed_out");
    }
    for (const event of fake.events.slice(seen)) applyEvent(view, event);
    seen = fake.events.length;
    expect(view).toMatchObject({ status: "failed", counts: fake.job.counts, countedSeq: seen });
    expect(view.endedAtMs).toBe(Date.parse(fake.job.endedAt ?? ""));
    expect(view.tasks.get("b")).toMatchObject({ status: "timed_out", attempt: 1 });
    expect(view.running.size).toBe(0);
  });

  it("counts an event once that the counts included already, and still learns of the task", () => {
    const fake = createFakeJob("hello", ["a", "b"]);
    fake.move("a", "running");
    fake.move("a", "completed");
    const view = replay(fake);
    expect(countAll(view.counts)).toBe(2);
    expect(view.counts).toMatchObject({ completed: 1, queued: 1 });
    expect(view.tasks.get("a")).toMatchObject({ status: "completed" });
  });

  it("is not misled by a list of tasks that is newer than the counts", () => {
    const fake = createFakeJob("hello", ["a"]);
    const job = { ...fake.job, counts: { ...fake.job.counts } };
    fake.move("a", "running");
    fake.move("a", "failed", { warning: true, exitCode: 42 });
    const view = startView(job, fake.tasks.values());
    for (const event of fake.events.slice(1)) applyEvent(view, event);
    expect(view.counts).toEqual(fake.job.counts);
    expect(view.warnings).toBe(1);
  });

  it("learns of tasks from events that no list had", () => {
    const fake = createFakeJob("hello", ["a", "b"]);
    const view = startView({ ...fake.job, counts: { ...fake.job.counts } }, []);
    fake.move("b", "running", { workerId: "w-1" });
    for (const event of fake.events.slice(1)) applyEvent(view, event);
    expect(view.tasks.get("b")).toMatchObject({ status: "running", attempt: 1, workerId: "w-1" });
  });

  it("keeps the time since the first start when a task goes back to the queue and runs again", () => {
    const fake = createFakeJob("hello", ["a"]);
    const view = viewOf(fake);
    fake.move("a", "running");
    fake.move("a", "queued", { reason: { code: "worker_lost", detail: "gone", fault: "infrastructure" } });
    const events = fake.events.slice(1).map((event, index): JobEvent => {
      return { ...event, at: new Date(1_000 * (index + 1)).toISOString() };
    });
    for (const event of events) applyEvent(view, event);
    expect(view.tasks.get("a")).toMatchObject({ status: "queued", attempt: 1, reason: { code: "worker_lost" } });
    expect(view.recent).toEqual(["a"]);
    applyEvent(view, { ...transition(view, "a", "queued", "running"), attempt: 2, at: new Date(9_000).toISOString() });
    expect(view.tasks.get("a")).toMatchObject({ status: "running", attempt: 2, startedAtMs: 2_000 });
    expect(view.tasks.get("a")?.reason).toBeUndefined();
  });

  it("comes back to running when an ended task is retried", () => {
    const fake = createFakeJob("hello", ["a"]);
    fake.move("a", "running");
    fake.move("a", "failed");
    const view = viewOf(fake);
    expect(view.status).toBe("failed");
    applyEvent(view, transition(view, "a", "failed", "queued"));
    expect(view).toMatchObject({ status: "running", endedAtMs: undefined, counts: { failed: 0, queued: 1 } });
  });

  it("tells who ended the job", () => {
    const fake = createFakeJob("hello", ["a"]);
    const view = viewOf(fake);
    fake.requestCancel("cancelled by ann");
    for (const event of fake.events.slice(1)) applyEvent(view, event);
    expect(view.cancel).toEqual({ cause: "user", detail: "cancelled by ann" });
  });

  it("keeps a bounded number of recent tasks however many there are", () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `t${index}`);
    const fake = createFakeJob("big", names);
    const view = viewOf(fake);
    for (const name of names) {
      fake.move(name, "running");
      fake.move(name, "completed");
    }
    for (const event of fake.events.slice(1)) applyEvent(view, event);
    expect(view.counts.completed).toBe(1_000);
    expect(view.recent.length).toBeLessThanOrEqual(2 * recentLength);
    expect(view.recent.at(-1)).toBe("t999");
  });

  it("knows what a pending task waits for, and what of it has completed since", () => {
    const fake = createFakeJob("hello", ["a", "b", "c"]);
    const tasks = [...fake.tasks.values()].map((task) =>
      task.task === "c" ? { ...task, status: "pending" as const, waitingFor: ["a", "b"], waitingForCount: 2 } : task,
    );
    const view = startView(fake.job, tasks);
    const seen = fake.events.length;
    fake.move("a", "running");
    fake.move("a", "completed");
    for (const event of fake.events.slice(seen)) applyEvent(view, event);
    const c = view.tasks.get("c");
    expect(c?.waitingFor).toEqual({ names: ["b"], count: 1 });
  });

  it("takes a retried job for one that goes on", () => {
    const fake = createFakeJob("hello", ["a"]);
    const view = viewOf(fake);
    const seen = fake.events.length;
    fake.requestCancel("cancelled by ann");
    fake.move("a", "aborted");
    fake.retry(["a"], "ben");
    for (const event of fake.events.slice(seen)) applyEvent(view, event);
    expect(view).toMatchObject({ status: "running", cancel: undefined, counts: { queued: 1, aborted: 0 } });
  });
});

function transition(view: JobView, task: string, from: "queued" | "failed", to: "queued" | "running") {
  const at = new Date(0).toISOString();
  const seq = view.countedSeq + 1;
  return { v: 1 as const, seq, jobId: view.job, at, type: "task.transition" as const, task, from, to, attempt: 1 };
}
