import { setTimeout as sleep } from "node:timers/promises";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import type { Job, Task } from "../../shared/api/schemas.ts";
import type { JobSpecInput } from "../../shared/jobfile/job-spec.ts";
import type { RunningStack } from "./local-stack.ts";

const callDeadlineMs = 30_000;
const jobDeadlineMs = 1_200_000;

/** Calls the API of a stack and answers the JSON. */
export async function callApi<T>(stack: Pick<RunningStack, "url" | "token">, path: string, body?: object): Promise<T> {
  const response = await fetch(stack.url + path, {
    method: body ? "POST" : "GET",
    headers: { authorization: `Bearer ${stack.token}`, "content-type": "application/json" },
    ...(body ? { body: JSON.stringify(body) } : {}),
    signal: AbortSignal.timeout(callDeadlineMs),
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

export async function submit(stack: RunningStack, spec: JobSpecInput): Promise<string> {
  return (await callApi<{ job: string }>(stack, "/v1/jobs", { spec })).job;
}

/** Waits for the end of a job. */
export async function waitForJob(stack: RunningStack, jobId: string, pollMs = 50): Promise<Job> {
  for (const givesUpAt = Date.now() + jobDeadlineMs; Date.now() < givesUpAt; ) {
    const job = await callApi<Job>(stack, `/v1/jobs/${jobId}`);
    if (["completed", "failed", "aborted"].includes(job.status)) return job;
    await sleep(pollMs);
  }
  throw new Error(`job ${jobId} did not end in time`);
}

export function readTask(stack: RunningStack, jobId: string, task: string): Promise<Task> {
  return callApi<Task>(stack, `/v1/jobs/${jobId}/tasks/${task}`);
}

/** The first line a task's first step printed. */
export async function readFirstLine(stack: RunningStack, jobId: string, task: string): Promise<ApiLogLine> {
  const page = await callApi<{ lines: ApiLogLine[] }>(stack, `/v1/jobs/${jobId}/tasks/${task}/logs?limit=1`);
  const [line] = page.lines;
  if (!line) throw new Error(`task ${task} of ${jobId} printed nothing`);
  return line;
}

/** A step on the host, or in a container of the image given. */
export function step(entry: { run: string } | { command: string[] }, image?: string): JobSpecInput["steps"][number] {
  return image === undefined
    ? { kind: "process", name: "step", entry }
    : { kind: "container", name: "step", image, entry };
}
