import { setTimeout as sleep } from "node:timers/promises";
import type { EventPage, Job, JobPage, Task, TaskPage, Why, Worker, WorkerPage } from "../../../shared/api/schemas.ts";
import type { RunningStack } from "../local-stack.ts";
import type { Finding } from "./verdict.ts";

const callDeadlineMs = 10_000;
const retryPauseMs = 200;

/** How long, and until what else happens, an outage of the API is waited out. */
export interface Patience {
  deadlineMs: number;
  signal?: AbortSignal | undefined;
}

type Target = Pick<RunningStack, "url" | "token">;

/**
 * Calls the API and answers the JSON. An API that is away, or broken off in the middle, is asked again: what changes
 * something has to carry a key that makes the repeat harmless.
 */
export async function callPatiently<T>(
  target: Target,
  path: string,
  patience: Patience,
  send?: { body: object; idempotencyKey: string },
): Promise<T> {
  const givesUpAt = Date.now() + patience.deadlineMs;
  for (;;) {
    patience.signal?.throwIfAborted();
    let failure: unknown;
    try {
      const response = await fetch(target.url + path, {
        method: send ? "POST" : "GET",
        headers: {
          authorization: `Bearer ${target.token}`,
          "content-type": "application/json",
          ...(send ? { "idempotency-key": send.idempotencyKey } : {}),
        },
        ...(send ? { body: JSON.stringify(send.body) } : {}),
        signal: AbortSignal.any([AbortSignal.timeout(callDeadlineMs), ...(patience.signal ? [patience.signal] : [])]),
      });
      if (response.ok) return (await response.json()) as T;
      failure = new Error(`${path} answered ${response.status}: ${await response.text()}`);
      if (response.status < 500 && response.status !== 429) throw new ApiRefusal(`${failure}`);
    } catch (error) {
      if (error instanceof ApiRefusal) throw error;
      failure = error;
    }
    if (Date.now() > givesUpAt) throw new Error(`no answer to ${path} in time`, { cause: failure });
    await sleep(retryPauseMs);
  }
}

/** The API understood and refused: asking again changes nothing. */
class ApiRefusal extends Error {}

/** Everything the API tells about one job. */
export interface JobRecord {
  job: Job;
  tasks: Task[];
  events: EventPage["events"];
}

export async function readJobRecord(target: Target, jobId: string, patience: Patience): Promise<JobRecord> {
  const job = await callPatiently<Job>(target, `/v1/jobs/${jobId}`, patience);
  const tasks: Task[] = [];
  for (let cursor = ""; ; ) {
    const query = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await callPatiently<TaskPage>(target, `/v1/jobs/${jobId}/tasks?limit=200${query}`, patience);
    for (const { task } of page.tasks) {
      tasks.push(await callPatiently<Task>(target, `/v1/jobs/${jobId}/tasks/${task}`, patience));
    }
    if (page.cursor === undefined) break;
    cursor = page.cursor;
  }
  const events: EventPage["events"] = [];
  for (let after = 0; ; ) {
    const path = `/v1/jobs/${jobId}/events?after=${after}&limit=1000`;
    const page = await callPatiently<EventPage>(target, path, patience);
    if (page.events.length === 0) break;
    events.push(...page.events);
    after = page.next;
  }
  return { job, tasks, events };
}

/** What is wrong with the answers of a job's tasks to the question why they are as they are. */
export async function judgeWhys(target: Target, record: JobRecord, patience: Patience): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { job, task, status, reason } of record.tasks) {
    const why = await callPatiently<Why>(target, `/v1/jobs/${job}/tasks/${task}/why`, patience);
    const saysReason = !reason || JSON.stringify(why).includes(reason.detail.slice(0, 40));
    if (why.status === status && why.code === status && why.summary !== "" && saysReason) continue;
    const what = `is ${status} and says ${why.status}, ${why.code}: '${why.summary}'`;
    findings.push({ check: "why", jobId: job, task, what });
  }
  return findings;
}

/** The ids of all jobs there are. */
export async function listJobIds(target: Target, patience: Patience): Promise<string[]> {
  const jobIds: string[] = [];
  for (let cursor = ""; ; ) {
    const query = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await callPatiently<JobPage>(target, `/v1/jobs?limit=100${query}`, patience);
    jobIds.push(...page.jobs.map(({ job }) => job));
    if (page.cursor === undefined) return jobIds;
    cursor = page.cursor;
  }
}

/** All workers that ever registered and are still known. */
export async function listWorkers(target: Target, patience: Patience): Promise<Worker[]> {
  const workers: Worker[] = [];
  for (let cursor = ""; ; ) {
    const query = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await callPatiently<WorkerPage>(target, `/v1/workers?limit=100${query}`, patience);
    workers.push(...page.workers);
    if (page.cursor === undefined) return workers;
    cursor = page.cursor;
  }
}
