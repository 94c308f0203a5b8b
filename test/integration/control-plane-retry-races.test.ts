import { describe, expect, it } from "vitest";
import { workOnChore } from "../../functions/operations/chores.ts";
import type { Job, Problem, Retried, Task, Why } from "../../shared/api/schemas.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import type { CloudRequest } from "../support/control-plane-requests.ts";
import { completed, failedWith, runToEnd } from "../support/control-plane-worker.ts";
import { graphJob } from "../support/graph-jobs.ts";
import { auditJob, readJobRecords } from "../support/job-audit.ts";

const plane = useControlPlane();
const minuteMs = 60_000;
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const readTask = (jobId: string, task: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);
const retry = (jobId: string, tasks: readonly string[]) =>
  plane().call<Retried>(`/v1/jobs/${jobId}/retry`, { body: { tasks }, role: "submitter" });

/** Takes one task and answers how to end it. */
async function start(jobId: string, task: string) {
  const worker = plane().createWorker();
  const [claim] = await worker.claim([{ jobId, task, bucket: 0 }]);
  if (claim?.status !== "claimed") throw new Error(`${task} was not claimed`);
  return (result = completed()) => worker.report(claim, result);
}

/** Does something in front of the first request that matches. */
function justBefore(matches: (request: CloudRequest) => boolean, work: () => Promise<void>): () => boolean {
  let met = false;
  plane().requests.intercept(async (request, send) => {
    if (!met && matches(request)) {
      met = true;
      await work();
    }
    return send();
  });
  return () => met;
}

const moves = (task: string, how: RegExp) => (request: CloudRequest) => {
  const text = JSON.stringify(request.input);
  return request.writes && request.service === "dynamodb" && text.includes(`"sk":"${task}"`) && how.test(text);
};
const advance = (jobId: string) =>
  workOnChore(plane().startProcess(), jobId, "advance", plane().clock.now() + minuteMs);

async function expectAllCompleted(jobId: string, total: number): Promise<void> {
  await plane().foldAll();
  await runToEnd(plane());
  for (let sweeps = 0; sweeps < 3; sweeps++) {
    plane().clock.advance(2 * minuteMs);
    await plane().sweep();
    await runToEnd(plane());
  }
  expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: total } });
  auditJob(await readJobRecords(plane(), jobId));
}

describe("a retry at the same moment as other things", () => {
  it("hangs on no need that ended before the task waited for it again", async () => {
    const jobId = await plane().submit(graphJob({ need: "", task: "need", x: "", y: "x" }));
    const endNeed = await start(jobId, "need");
    await plane().call(`/v1/jobs/${jobId}/tasks/task/cancel`, { method: "POST" });
    await (await start(jobId, "x"))();
    await plane().foldAll();
    // Nothing waits any more, so that nothing tells of the end of the need. The graph is being moved on, and has seen no retry; then the need ends while the retry still sees it running.
    let retrying: Promise<unknown> | undefined;
    const atEvents = justBefore(
      ({ operation, input }) => operation === "Query" && JSON.stringify(input).includes("EVENTS#"),
      async () => {
        await new Promise<void>((resolve, reject) => {
          justBefore(moves("task", /retriedSeq/), async () => {
            await endNeed();
            await plane().deps.fold.foldTasks(jobId, await readItems(jobId, ["need"]));
            resolve();
            await advancing;
          });
          retrying = retry(jobId, ["task"]);
          retrying.catch(reject);
        });
      },
    );
    const advancing = advance(jobId);
    await advancing;
    expect(atEvents()).toBe(true);
    await retrying;
    plane().requests.intercept(undefined);
    await expectAllCompleted(jobId, 4);
  });

  it("brings what was just being skipped because of its task back with it", async () => {
    const jobId = await plane().submit(graphJob({ need: "", task: "need" }));
    await (await start(jobId, "need"))(failedWith(7));
    await plane().deps.fold.foldTasks(jobId, await readItems(jobId, ["need"]));
    let retrying: Promise<unknown> | undefined;
    let skipped: (() => void) | undefined;
    const skip = new Promise<void>((resolve) => {
      skipped = resolve;
    });
    const atSkip = justBefore(moves("task", /:outcome/), async () => {
      await new Promise<void>((resolve, reject) => {
        justBefore(moves("task", /retouched/), async () => {
          resolve();
          await skip;
        });
        retrying = retry(jobId, ["need"]);
        retrying.catch(reject);
      });
    });
    await advance(jobId);
    skipped?.();
    expect(atSkip()).toBe(true);
    await retrying;
    plane().requests.intercept(undefined);
    await expectAllCompleted(jobId, 2);
  });

  it("lets nothing wait again for what has been run again by then", async () => {
    const jobId = await plane().submit(graphJob({ a: "", b: "", c: "a b" }));
    await (await start(jobId, "a"))();
    const endB = await start(jobId, "b");
    await plane().foldAll();
    const late = justBefore(moves("c", /ADD waitingFor/), async () => {
      plane().requests.intercept(undefined);
      await workOnChore(plane().startProcess(), jobId, "retry", plane().clock.now() + minuteMs);
      await (await start(jobId, "a"))();
      await plane().foldAll();
    });
    await retry(jobId, ["a"]);
    expect(late()).toBe(true);
    await plane().foldAll();
    expect((await readTask(jobId, "c")).waitingFor).toEqual(["b"]);
    await endB();
    await expectAllCompleted(jobId, 3);
  });

  it("begins with nothing before all that waits for it waits again, though it dies in between", async () => {
    const jobId = await plane().submit(graphJob({ need: "", task: "need" }));
    await runToEnd(plane(), "need");
    let died = false;
    plane().requests.intercept(async (request, send) => {
      if (died || !moves("task", /retriedSeq/)(request)) return send();
      died = true;
      throw new Error("the process died");
    });
    await retry(jobId, ["need"]);
    expect(died).toBe(true);
    await expectAllCompleted(jobId, 2);
  });

  it("is refused where a failure that is not counted yet ends the job by its abort policy", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"], { abort: "on-error" }));
    await (await start(jobId, "a"))(failedWith(7));
    const answer = await plane().request(`/v1/jobs/${jobId}/retry`, { body: {}, role: "submitter" });
    expect(answer.status).toBe(409);
    expect(((await answer.json()) as Problem).detail).toContain("is being cancelled; retry its tasks when it has");
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { failed: 1, aborted: 1 } });
  });
});

describe("what is told after a retry", () => {
  it("blames no attempt for a task that was cancelled while it waited", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await runToEnd(plane(), "a");
    await retry(jobId, ["a"]);
    await plane().call(`/v1/jobs/${jobId}/tasks/a/cancel`, { method: "POST" });
    const why = await plane().call<Why>(`/v1/jobs/${jobId}/tasks/a/why`);
    expect(why.summary).toBe("a was aborted while it waited after attempt 1: cancelled by test-admin");
    expect(why.facts.map(({ kind }) => kind)).toEqual(["reason", "attempt"]);
  });
});

function readItems(jobId: string, tasks: readonly string[]) {
  return plane().deps.tasks.getMany(tasks.map((task) => ({ jobId, task, bucket: 0 })));
}
