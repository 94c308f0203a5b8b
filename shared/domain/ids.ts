import { encodeTime, ulid } from "ulid";

/** Pattern of a job id: the job's name, a dash, a lower-case ulid. */
export const jobIdPattern = /^[a-z][a-z0-9_-]*-[0-9a-hjkmnp-tv-z]{26}$/;

/** A new job id, sortable by creation within one name. */
export function newJobId(jobName: string, nowMs: number): string {
  return `${jobName}-${ulid(nowMs).toLowerCase()}`;
}

/** The ulid at the end of a job id: sorts jobs by creation, whatever their names. */
export function jobUlid(jobId: string): string {
  return jobId.slice(-26);
}

const lastUlidMs = 2 ** 48 - 1;

/** The text that sorts before the ulids of that time and later, and after all earlier ones. Times beyond any are the nearest. */
export function ulidStart(atMs: number): string {
  return encodeTime(Math.min(lastUlidMs, Math.max(0, atMs))).toLowerCase();
}

/** Pattern of a worker id. */
export const workerIdPattern = /^w-[0-9a-z]{26}$/;

/** A new worker id, unique for each start of a worker process. */
export function newWorkerId(nowMs: number): string {
  return `w-${ulid(nowMs).toLowerCase()}`;
}

/** What identifies one attempt at a task. `bucket` is the partition the task item lives in. */
export interface AttemptKey {
  jobId: string;
  bucket: number;
  task: string;
  attempt: number;
}

/** The attempt id used in URLs; `.` occurs in no part of it. */
export function formatAttemptId(key: AttemptKey): string {
  return [key.jobId, key.bucket, key.task, key.attempt].join(".");
}

/** The parts of an attempt id, or undefined where the text is none. */
export function parseAttemptId(attemptId: string): AttemptKey | undefined {
  const match = /^([a-z0-9_-]+)\.(\d{1,4})\.([a-z0-9_-]+)\.(\d{1,6})$/.exec(attemptId);
  if (!match) return undefined;
  const [, jobId = "", bucket, task = "", attempt] = match;
  return { jobId, bucket: Number(bucket), task, attempt: Number(attempt) };
}

/** Tasks kept in one partition of the table at most; more of them would make its writes too hot. */
const tasksPerBucket = 500;
const maxTaskBuckets = 32;

/** Number of partitions the tasks of a job are spread over. */
export function taskBucketCount(taskTotal: number): number {
  return Math.min(maxTaskBuckets, Math.max(1, Math.ceil(taskTotal / tasksPerBucket)));
}

/** The partition (0-based) a task lives in: FNV-1a of its name, so that any reader can compute it. */
export function taskBucket(task: string, bucketCount: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < task.length; i++) hash = Math.imul(hash ^ task.charCodeAt(i), 0x01000193) >>> 0;
  return hash % bucketCount;
}
