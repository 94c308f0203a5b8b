import { createHash } from "node:crypto";
import type { Task } from "../../shared/api/schemas.ts";
import type { ErrorCode } from "../../shared/domain/errors.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { JobSpec } from "../../shared/jobfile/job-spec.ts";
import { packLogChunk } from "../../shared/log-chunk.ts";
import type { FakeApi, RecordedRequest } from "./fake-api.ts";
import type { FakeArtifact, FakeJob } from "./fake-job.ts";

/** One message of a stream and where a reader that has it goes on. */
export interface FakeMessage {
  id: number;
  event: string;
  data: unknown;
}

/** What a request is answered with: a body, bytes of the store, or a stream that goes on as its job does. */
export type FakeAnswer =
  | { kind: "json"; status: number; body: unknown }
  | { kind: "bytes"; status: number; body: Buffer; headers?: Record<string, string> }
  | {
      kind: "stream";
      job: FakeJob;
      from: number;
      next: (position: number) => FakeMessage | undefined;
      isEnded: () => boolean;
    };

/** A request that the API refuses. */
export class Refusal extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, detail: string) {
    super(detail);
    this.code = code;
  }
}

const cancelReason = { code: "cancelled", detail: "cancelled by tester", fault: "user" } as const;

/** Finds what a request to `/v1/…` is answered with; submissions are remembered by their Idempotency-Key. */
export function answerApi(
  fake: FakeApi,
  submissions: Map<string, FakeJob>,
  request: RecordedRequest,
): FakeAnswer | Promise<FakeAnswer> {
  if (request.headers.authorization !== `Bearer ${fake.token}`) {
    throw new Refusal("unauthorized", "this token is not known here");
  }
  const [collection, jobId, part, taskName, taskPart] = request.path.split("/").slice(2).map(decodeURIComponent);
  if (collection === "images") return shipImage(fake, request);
  if (collection !== "jobs") throw new Refusal("not_found", `there is no ${request.path}`);
  if (jobId === undefined)
    return request.method === "POST" ? submit(fake, submissions, request) : listJobs(fake, request);
  const job = fake.jobs.find(({ id }) => id === jobId);
  if (!job) throw new Refusal("not_found", `there is no job ${jobId}`);
  if (part === undefined) return json(job.job);
  if (part === "events") return readEvents(job, request);
  if (part === "cancel") return cancelJob(fake, job);
  if (part === "retry") return retryTasks(job, request);
  if (taskName === undefined) return listTasks(job, request);
  const task = job.tasks.get(taskName);
  if (!task) throw new Refusal("not_found", `job ${job.id} has no task ${taskName}`);
  return answerTask(fake, job, task, taskPart, request);
}

function answerTask(
  fake: FakeApi,
  job: FakeJob,
  task: Task,
  part: string | undefined,
  request: RecordedRequest,
): FakeAnswer | Promise<FakeAnswer> {
  if (part === undefined) return json(task);
  if (part === "logs" && request.path.endsWith("/chunks")) return listLogChunks(fake, job, task, request);
  if (part === "logs") return readLog(job, task, request);
  if (part === "artifacts") {
    if (request.method === "POST") return requestLive(task);
    if (request.path.endsWith("/files")) return listFiles(job, task, request);
    return request.path.includes("/live/") ? readLive(fake, job, task) : listArtifacts(fake, job, task);
  }
  if (part === "cancel") return cancelTask(job, task);
  throw new Refusal("not_found", `there is no ${request.path}`);
}

/** Which tasks are retried, as the control plane chooses them; what waits for them it does not know. */
function retryTasks(job: FakeJob, request: RecordedRequest): FakeAnswer {
  const { tasks: named }: { tasks?: string[] } = JSON.parse(request.body);
  const unknown = named?.filter((name) => !job.tasks.has(name)) ?? [];
  if (unknown.length > 0) throw new Refusal("not_found", `job ${job.id} has no task ${unknown.join(", ")}`);
  const failed = [...job.tasks.values()].filter(({ status }) => status === "failed" || status === "timed_out");
  const tasks = named ?? failed.map(({ task }) => task);
  if (tasks.length === 0) throw new Refusal("conflict", `no task of ${job.id} failed or timed out; name the tasks`);
  job.retry(tasks, "tester");
  return json({ job: job.id, status: "retrying", tasks, dependants: 0 }, 202);
}

/** The store behind presigned links: authorised by the link alone, as S3 is. */
export function answerStore(fake: FakeApi, request: RecordedRequest, upload: Buffer): FakeAnswer {
  const bytes = (status: number, body: Buffer | string = "", headers?: Record<string, string>): FakeAnswer => {
    return { kind: "bytes", status, body: Buffer.from(body), ...(headers && { headers }) };
  };
  if (request.headers.authorization !== undefined) return bytes(400, "authorised twice");
  if (request.method === "PUT") {
    if (request.headers["content-length"] === undefined) return bytes(411);
    const blob = request.path.replace("/upload/", "");
    (blob.includes("/") ? fake.parts : fake.images).set(blob, upload);
    return bytes(200);
  }
  const object = fake.objects.get(request.path);
  if (object === undefined) return bytes(404);
  const etag = `"${createHash("md5").update(object).digest("hex")}"`;
  if ((request.headers["if-match"] ?? etag) !== etag) return bytes(412);
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const range = { "content-range": `bytes ${start}-${object.length - 1}/${object.length}` };
  return start === 0 ? bytes(200, object, { etag }) : bytes(206, object.subarray(start), { etag, ...range });
}

function submit(fake: FakeApi, submissions: Map<string, FakeJob>, request: RecordedRequest): FakeAnswer {
  const key = String(request.headers["idempotency-key"]);
  const { spec }: { spec: JobSpec } = JSON.parse(request.body);
  const known = submissions.get(key);
  const names = spec.tasks.map(({ name }) => name);
  const job = known ?? fake.addJob(spec.name, names);
  submissions.set(key, job);
  // The job goes on only after its submit was answered.
  if (!known) setImmediate(() => fake.onSubmit(job, spec));
  const body = { job: job.id, url: `${fake.url}/jobs/${job.id}`, tasks: job.tasks.size, created: !known };
  return json(body, known ? 200 : 201);
}

function listJobs(fake: FakeApi, { query }: RecordedRequest): FakeAnswer {
  const status = query.get("status");
  const name = query.get("name");
  const all = fake.jobs.map(({ job }) => job);
  const matching = all.filter((job) => (!status || job.status === status) && (!name || job.name === name));
  return page("jobs", matching, query, 50);
}

function listTasks(job: FakeJob, { query }: RecordedRequest): FakeAnswer {
  const status = query.get("status");
  const summaries = [...job.tasks.values()].map(({ attempts: _attempts, job: _job, ...summary }) => summary);
  return page(
    "tasks",
    summaries.filter((task) => !status || task.status === status),
    query,
    200,
  );
}

function readEvents(job: FakeJob, request: RecordedRequest): FakeAnswer {
  const after = Number(request.headers["last-event-id"] ?? request.query.get("after") ?? 0);
  if (!wantsStream(request)) {
    const limit = Number(request.query.get("limit") ?? 200);
    const events = job.events.slice(after, after + limit);
    return json({ events, next: events.at(-1)?.seq ?? after });
  }
  return {
    kind: "stream",
    job,
    from: after,
    next: (position) => {
      const event = job.events[position];
      return event && { id: event.seq, event: event.type, data: event };
    },
    isEnded: () => isTerminalJobState(job.job.status),
  };
}

function readLog(job: FakeJob, task: Task, request: RecordedRequest): FakeAnswer {
  const { query, headers } = request;
  const lines = job.lines(task.task);
  const cursor = headers["last-event-id"] ?? query.get("cursor");
  const tail = query.get("tail");
  const from = cursor ? Number(cursor) : tail === null ? 0 : Math.max(0, lines.length - Number(tail));
  if (wantsStream(request)) {
    const next = (position: number): FakeMessage | undefined => {
      const line = job.lines(task.task)[position];
      return line && { id: line.line + 1, event: "line", data: line };
    };
    return { kind: "stream", job, from, next, isEnded: () => job.isLogComplete(task.task) };
  }
  if (headers.range !== undefined) {
    const [first = 0, last = 0] = headers.range.replace("bytes=", "").split("-").map(Number);
    const text = Buffer.from(lines.map((line) => `${line.text}\n`).join(""));
    return { kind: "bytes", status: 206, body: text.subarray(first, last + 1) };
  }
  const taken = lines.slice(from, from + Number(query.get("limit") ?? 1000));
  const attempt = Number(query.get("attempt") ?? task.attempt);
  const complete = job.isLogComplete(task.task) && from + taken.length >= lines.length;
  return json({ attempt, lines: taken, cursor: String(from + taken.length), complete });
}

/** All lines as one chunk of the store. */
async function listLogChunks(fake: FakeApi, job: FakeJob, task: Task, { query }: RecordedRequest): Promise<FakeAnswer> {
  const all = job.lines(task.task);
  const [first = "0", last = ""] = query.get("lines")?.split("-") ?? [];
  const end = last === "" ? all.length : Math.min(all.length, Number(last) + 1);
  const texts = all.map(({ text, partial }) => Buffer.from(partial ? text : `${text}\n`));
  const runs = all.map(({ at, stream, partial = false }, index) => {
    return { atMs: Date.parse(at), stream, partial, lines: 1, bytes: texts[index]?.length ?? 0 };
  });
  const text = Buffer.concat(texts);
  const path = `/store/${job.id}/${task.task}/log-${all.length}`;
  fake.objects.set(path, await packLogChunk({ text, runs }));
  const chunk = {
    ...{ url: `${fake.url}${path}?signature=x`, step: 1, firstLine: 0, lines: all.length, bytes: text.length },
    ...{ skip: Number(first), drop: all.length - end, cursor: first, firstAt: all[0]?.at ?? "" },
  };
  const attempt = Number(query.get("attempt") ?? task.attempt);
  const expiresAt = new Date(Date.now() + 900_000).toISOString();
  return json({ attempt, chunks: all.length === 0 ? [] : [chunk], cursor: String(end), more: false, expiresAt });
}

function listArtifacts(fake: FakeApi, job: FakeJob, task: Task): FakeAnswer {
  const artifacts = (job.artifacts.get(task.task) ?? []).map((artifact) => linkArtifact(fake, job, task, artifact));
  const expired = job.expired.get(task.task) ?? [];
  return json({ attempt: Math.max(1, task.attempt), status: task.status, artifacts, expired });
}

/** A file a page, and one that is not listed. */
function listFiles(job: FakeJob, task: Task, request: RecordedRequest): FakeAnswer {
  const files = job.files.get(task.task);
  if (!files) throw new Refusal("not_found", "what is in it is not listed");
  const at = Number(request.query.get("cursor") ?? 0);
  const content = { members: files.length + 1, files: 2, bytes: 4_000 };
  const name = job.artifacts.get(task.task)?.[0]?.name ?? "";
  const page = { attempt: 1, name, content, listed: files.length, files: files.slice(at, at + 1) };
  return json(at + 1 < files.length ? { ...page, cursor: String(at + 1) } : page);
}

function linkArtifact(fake: FakeApi, job: FakeJob, task: Task, { name, body, sha256 }: FakeArtifact) {
  const path = `/store/${job.id}/${task.task}/${encodeURIComponent(name)}`;
  if (!fake.objects.has(path)) fake.objects.set(path, body);
  const expiresAt = new Date(Date.now() + 900_000).toISOString();
  return { name, size: body.length, sha256, url: `${fake.url}${path}?signature=x`, expiresAt };
}

function requestLive(task: Task): FakeAnswer {
  if (task.status !== "running") throw new Refusal("conflict", `task ${task.task} has ended`);
  const until = new Date(Date.now() + 600_000).toISOString();
  return json({ id: `${task.attempt}-${"0".repeat(26)}`, attempt: task.attempt, until }, 202);
}

function readLive(fake: FakeApi, job: FakeJob, task: Task): FakeAnswer {
  const [now, ...later] = job.live.get(task.task) ?? [];
  if (later.length > 0) job.live.set(task.task, later);
  if (now === undefined || "status" in now) return json(now ?? { status: "ended" });
  return json({ status: "stored", at: new Date().toISOString(), artifact: linkArtifact(fake, job, task, now) });
}

function cancelJob(fake: FakeApi, job: FakeJob): FakeAnswer {
  if (isTerminalJobState(job.job.status)) return json({ job: job.id, status: "already_ended" }, 202);
  job.requestCancel("cancelled by tester");
  setImmediate(() => fake.onCancel(job));
  return json({ job: job.id, status: "cancelling" }, 202);
}

function cancelTask(job: FakeJob, task: Task): FakeAnswer {
  const status = isTerminalTaskState(task.status) ? "already_ended" : "cancelling";
  if (status === "cancelling") job.move(task.task, "aborted", { reason: cancelReason });
  return json({ job: job.id, task: task.task, status }, 202);
}

/** What the control plane says of blobs and their parts; entity tags are MD5s, as the store's. */
function shipImage(fake: FakeApi, { path, body }: RecordedRequest): FakeAnswer {
  const [digest, , step] = path.split("/").slice(3).map(decodeURIComponent);
  const sent = JSON.parse(body);
  if (digest === undefined) {
    const missing = [...new Set<string>(sent.blobs)].filter((blob) => !fake.images.has(blob));
    return json({ missing: missing.map((blob) => ({ digest: blob })) });
  }
  const url = `${fake.url}/upload/${digest}`;
  if (step === "parts") return json({ links: sent.parts.map((part: number) => ({ part, url: `${url}/${part}` })) });
  if (step === "complete") {
    const parts: { part: number }[] = sent.parts?.sent ?? [];
    const whole = Buffer.concat(parts.map(({ part }) => fake.parts.get(`${digest}/${part}`) ?? Buffer.alloc(0)));
    if (parts.length > 0) fake.images.set(digest, whole);
    if (fake.images.get(digest)?.length !== sent.bytes) throw new Refusal("conflict", "that was not sent");
    return json({ status: "stored" });
  }
  if (fake.images.has(digest)) return json({ status: "stored" });
  if (sent.bytes <= fake.pieceBytes) return json({ status: "piece", url });
  const own = [...fake.parts].filter(([key]) => key.startsWith(`${digest}/`));
  const arrived = own.map(([key, content]) => {
    return { part: Number(key.split("/")[1]), etag: createHash("md5").update(content).digest("hex") };
  });
  return json({ status: "parts", uploadId: "upload-1", partBytes: fake.pieceBytes, arrived });
}

function wantsStream({ headers }: RecordedRequest): boolean {
  return (headers.accept ?? "").includes("text/event-stream");
}

function json(body: unknown, status = 200): FakeAnswer {
  return { kind: "json", status, body };
}

function page(name: string, all: readonly unknown[], query: URLSearchParams, defaultLimit: number): FakeAnswer {
  const from = Number(query.get("cursor") ?? 0);
  const end = from + Number(query.get("limit") ?? defaultLimit);
  return json({ [name]: all.slice(from, end), ...(end < all.length ? { cursor: String(end) } : {}) });
}
