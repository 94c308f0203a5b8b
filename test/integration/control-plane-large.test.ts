import { BatchWriteCommand } from "@aws-sdk/lib-dynamodb";
import { describe, expect, it } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import { workOnChore } from "../../functions/operations/chores.ts";
import type { EventPage, Job } from "../../shared/api/schemas.ts";
import type { TaskItem, TaskTransition } from "../../shared/repository/items.ts";
import { taskKey } from "../../shared/repository/keys.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import type { Interceptor } from "../support/control-plane-requests.ts";

const plane = useControlPlane();

/** A process that dies: at its first expansion step before or after the write, or while it sends that step's messages. */
function dieAt(place: "before step" | "after step" | "amid messages", announced: Set<string>): Interceptor {
  let steps = 0;
  let sends = 0;
  return async ({ operation, input }, send) => {
    if (operation === "TransactWriteItems") {
      steps += 1;
      if (steps === 2 || place === "before step") throw new Error("crash");
      await send();
      if (place === "after step") throw new Error("crash");
      return {};
    }
    if (operation === "SendMessageBatch") {
      if (steps === 1 && ++sends > 5) throw new Error("crash");
      const answer = await send();
      for (const { MessageBody } of input.Entries as { MessageBody: string }[]) {
        announced.add((JSON.parse(MessageBody) as { task: string }).task);
      }
      return answer;
    }
    return send();
  };
}

async function readTasks(jobId: string): Promise<TaskItem[]> {
  const digest = (await plane().deps.jobs.getDigest(jobId)) ?? { jobId, bucketCount: 1 };
  const tasks: TaskItem[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await plane().deps.tasks.list(digest, { limit: 1000, cursor });
    tasks.push(...page.tasks);
    cursor = page.cursor;
    if (!cursor) return tasks;
  }
}

/** Moves tasks to completed as their attempts would have, many in one write; answers the tasks as they are then. */
async function pretendCompleted(tasks: readonly TaskItem[]): Promise<TaskItem[]> {
  const at = new Date(plane().clock.now()).toISOString();
  const outbox: TaskTransition[] = [
    { at, from: "queued", to: "running", attempt: 1 },
    { at, from: "running", to: "completed", attempt: 1, exitCode: 0 },
  ];
  const moved = tasks.map(
    (task): TaskItem => ({ ...task, state: "completed", rev: 3, attempt: 1, outbox, unfolded: 2 }),
  );
  for (let start = 0; start < moved.length; start += 25) {
    const puts = moved.slice(start, start + 25).map((task) => {
      return { PutRequest: { Item: { ...task, ...taskKey(task.jobId, task.bucket, task.task) } } };
    });
    await plane().table.client.send(new BatchWriteCommand({ RequestItems: { [plane().table.name]: puts } }));
  }
  return moved;
}

describe("a large job", () => {
  it("of 5,000 tasks is expanded exactly once though every step of it dies", async () => {
    const names = taskNames(5000);
    const jobId = await plane().submit(noopJob(names));
    const announced = new Set<string>();
    const places = ["before step", "after step", "amid messages"] as const;
    let runs = 0;
    while (await plane().deps.jobs.getChore(jobId, "expand")) {
      plane().requests.intercept(dieAt(places[runs % places.length] ?? "after step", announced));
      await workOnChore(plane().startProcess(), jobId, "expand", Number.POSITIVE_INFINITY).catch(() => undefined);
      plane().requests.intercept(undefined);
      if (++runs > 200) throw new Error("the expansion makes no progress");
    }
    expect(runs).toBeGreaterThan(50);
    expect((await readTasks(jobId)).map(({ task }) => task).sort()).toEqual(names);
    expect(announced.size).toBe(names.length);
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({
      status: "queued",
      total: names.length,
      counts: { queued: names.length },
      lastEvent: 1,
    });
  });

  it("of 1,000 tasks is counted exactly by several folds at once, with gapless events", async () => {
    const total = 1000;
    const jobId = await plane().submit(noopJob(taskNames(total)));
    await workOnChore(plane().deps, jobId, "expand", Number.POSITIVE_INFINITY);
    const images = await pretendCompleted(await readTasks(jobId));
    const half = images.slice(0, 600);
    const otherHalf = images.slice(400);
    await Promise.all([half, otherHalf, images].map((part) => plane().startProcess().fold.foldTasks(jobId, part)));
    const lastEvent = 1 + 2 * total + 2;
    expect(await plane().call<Job>(`/v1/jobs/${jobId}`)).toMatchObject({
      status: "completed",
      counts: { completed: total, queued: 0, running: 0 },
      lastEvent,
    });
    const events: JobEvent[] = [];
    for (;;) {
      const page = await plane().call<EventPage>(`/v1/jobs/${jobId}/events?limit=1000&after=${events.length}`);
      if (page.events.length === 0) break;
      events.push(...page.events);
    }
    expect(events.map((event) => event.seq)).toEqual(Array.from({ length: lastEvent }, (_, index) => index + 1));
    expect(events.at(-1)).toMatchObject({ type: "job.ended", state: "completed", counts: { completed: total } });
  });
});
