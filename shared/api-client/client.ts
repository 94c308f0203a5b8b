import type { JobEvent } from "../../events/index.ts";
import type { ArtifactFilePage, ArtifactList, LiveArtifact, LiveRequested } from "../api/artifact-schemas.ts";
import type {
  BlobUpload,
  CompleteBlob,
  ImageBlobPage,
  ImagePrune,
  ImagePruneRequest,
  ImageStatus,
  ListedImageBlob,
  PartLinks,
} from "../api/image-schemas.ts";
import type { ApiLogLine, LogChunkPage, LogPage } from "../api/log-schemas.ts";
import type { TaskMetrics } from "../api/metric-schemas.ts";
import type {
  AttemptTimesPage,
  Cancelled,
  EventPage,
  Job,
  JobPage,
  JobSpecAnswer,
  Retried,
  SecretDescription,
  SecretPage,
  Session,
  SubmittedJob,
  Task,
  TaskBriefPage,
  TaskPage,
  TaskSummary,
  Why,
} from "../api/schemas.ts";
import type { JobState } from "../domain/job-state.ts";
import { limits } from "../domain/limits.ts";
import type { TaskState } from "../domain/task-state.ts";
import type { JobSpecInput } from "../jobfile/job-spec.ts";
import type { CallOptions, FollowOptions, PageQuery } from "./call-options.ts";
import { createCalls, eachPage } from "./calls.ts";
import type { ServerSentEvent } from "./event-stream.ts";
import { createFleetClient, type FleetClient } from "./fleet-client.ts";
import { createTransport, type TransportOptions } from "./transport.ts";

/** Which jobs to list. */
export interface JobQuery {
  status?: JobState | undefined;
  name?: string | undefined;
  /** A part of the job's id. */
  search?: string | undefined;
  /** Who submitted it. */
  by?: string | undefined;
  /** Submitted then (ISO 8601) or later. */
  since?: string | undefined;
  /** Submitted before (ISO 8601). */
  until?: string | undefined;
}

/** Which log to read: the newest attempt and all steps where nothing is said. */
export interface LogQuery {
  attempt?: number | undefined;
  /** 1-based index of the step. */
  step?: number | undefined;
  /** Name of a service, to read its log instead. */
  service?: string | undefined;
  /** Only the last lines, this many. */
  tail?: number | undefined;
  /** Only lines of this time (ISO 8601) or later. */
  since?: string | undefined;
  /** Only these lines of one log, `A-B` or `A-`, counted from 0. */
  lines?: string | undefined;
}

/** Which series to read: of the newest attempt and the whole task where nothing is said. */
export interface MetricQuery {
  attempt?: number | undefined;
  /** `task`, `host`, `step-2`, `service-db`. */
  source?: string | undefined;
  /** Of each series at most. */
  points?: number | undefined;
}

/** What of an artifact to list: all of it, of the newest attempt, where nothing is said. */
export interface ArtifactFileQuery {
  attempt?: number | undefined;
  /** Only paths that begin with this. */
  prefix?: string | undefined;
  /** Only paths that contain this, in any case. */
  find?: string | undefined;
  /** Only what lies right in this folder; empty for the top. */
  folder?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** A job that is new or has changed, or one that is no longer what was asked for. */
export type JobChange = { kind: "job"; job: Job } | { kind: "left"; jobId: string };

/** The API, typed. Every method throws ApiError where it is refused and ConnectionError where there is no answer. */
export interface ApiClient extends FleetClient {
  /** Origin of the control plane, without a slash at its end. */
  readonly url: string;
  /** Lets the browser that calls keep a token. */
  openSession(token: string, options?: CallOptions): Promise<Session>;
  /** Whose token the calls are made with. */
  getSession(options?: CallOptions): Promise<Session>;
  /** Lets the browser that calls forget its token. */
  closeSession(options?: CallOptions): Promise<void>;
  /** Submits a job. The same key makes the same job, however often it is sent. */
  submitJob(spec: JobSpecInput, options: CallOptions & { idempotencyKey: string }): Promise<SubmittedJob>;
  listJobs(query?: JobQuery & PageQuery, options?: CallOptions): Promise<JobPage>;
  /** All jobs, newest first, page by page as they are taken. */
  eachJob(query?: JobQuery & { limit?: number | undefined }, options?: CallOptions): AsyncGenerator<Job>;
  /** The newest jobs, each once and again whenever it has changed, for as long as they are followed. */
  followJobs(query?: JobQuery & { limit?: number | undefined }, options?: FollowOptions): AsyncGenerator<JobChange>;
  getJob(job: string, options?: CallOptions): Promise<Job>;
  /** What a job was submitted as, but for its tasks. */
  getJobSpec(job: string, options?: CallOptions): Promise<JobSpecAnswer>;
  listTasks(job: string, query?: { status?: TaskState } & PageQuery, options?: CallOptions): Promise<TaskPage>;
  /** The same in brief, for who watches the whole job: up to `limits.briefsPage` at once. */
  listTaskBriefs(job: string, query?: PageQuery, options?: CallOptions): Promise<TaskBriefPage>;
  /** All tasks of a job, page by page as they are taken. */
  eachTask(job: string, query?: { status?: TaskState }, options?: CallOptions): AsyncGenerator<TaskSummary>;
  getTask(job: string, task: string, options?: CallOptions): Promise<Task>;
  /** When and where tasks ran: all, page by page, or those that are named (`limits.namedTasks` at most). */
  listAttempts(
    job: string,
    query?: PageQuery & { tasks?: readonly string[] },
    options?: CallOptions,
  ): Promise<AttemptTimesPage>;
  /** Why a task waits, where it runs, or why it ended so. */
  explainTask(job: string, task: string, options?: CallOptions): Promise<Why>;
  /** A page of events after a sequence number. */
  listEvents(job: string, query?: { after?: number; limit?: number }, options?: CallOptions): Promise<EventPage>;
  /** Events after a sequence number as they happen, each once and in order, until the job has ended. */
  followEvents(
    job: string,
    after: number,
    options?: FollowOptions & {
      /** Only events of this task, and those of the whole job. */
      task?: string | undefined;
    },
  ): AsyncGenerator<JobEvent>;
  cancelJob(job: string, options?: CallOptions): Promise<Cancelled>;
  cancelTask(job: string, task: string, options?: CallOptions): Promise<Cancelled>;
  /** Runs tasks again: those named, or all that failed or timed out. The same key retries once, however often it is sent. */
  retryTasks(
    job: string,
    tasks: readonly string[] | undefined,
    options: CallOptions & { idempotencyKey: string },
  ): Promise<Retried>;
  readLog(job: string, task: string, query?: LogQuery & PageQuery, options?: CallOptions): Promise<LogPage>;
  /** A page of links to the chunks of a log: from the start of what is asked for, or from `cursor` on. */
  listLogChunks(
    job: string,
    task: string,
    query?: Omit<LogQuery, "tail"> & PageQuery,
    options?: CallOptions,
  ): Promise<LogChunkPage>;
  /** Bytes of the text of one log as they arrive: `range` is `A-B`, `A-` or `-N`, as in a `Range` header. */
  readLogBytes(job: string, task: string, query: LogQuery, range: string, options?: CallOptions): Promise<Response>;
  /** Lines of an attempt's log as they come, until the attempt will write no more. */
  followLog(
    job: string,
    task: string,
    query?: LogQuery & { cursor?: string | undefined },
    options?: FollowOptions,
  ): AsyncGenerator<FollowedLine>;
  listArtifacts(
    job: string,
    task: string,
    query?: { attempt?: number | undefined },
    options?: CallOptions,
  ): Promise<ArtifactList>;
  /** A page of what is in an artifact. */
  listArtifactFiles(
    job: string,
    task: string,
    name: string,
    query?: ArtifactFileQuery,
    options?: CallOptions,
  ): Promise<ArtifactFilePage>;
  /** What an attempt of a task used over time. */
  readMetrics(job: string, task: string, query?: MetricQuery, options?: CallOptions): Promise<TaskMetrics>;
  /** Asks for what a running task has written so far. */
  requestLiveArtifact(job: string, task: string, options?: CallOptions): Promise<LiveRequested>;
  /** How far such a request has come. */
  getLiveArtifact(job: string, task: string, id: string, options?: CallOptions): Promise<LiveArtifact>;
  /** Sets a secret or replaces its value; no call ever answers one. */
  putSecret(name: string, value: string, options?: CallOptions): Promise<SecretDescription>;
  listSecrets(query?: PageQuery, options?: CallOptions): Promise<SecretPage>;
  /** All secrets, page by page as they are taken. */
  eachSecret(options?: CallOptions): AsyncGenerator<SecretDescription>;
  deleteSecret(name: string, options?: CallOptions): Promise<void>;
  /** Asks which of an image's blobs are missing; those that are there are kept for the job to come. */
  findMissingBlobs(blobs: readonly string[], options?: CallOptions): Promise<ImageStatus>;
  /** Begins the upload of a blob of so many bytes, or goes on with one that was begun. */
  uploadBlob(digest: string, bytes: number, options?: CallOptions): Promise<BlobUpload>;
  /** Asks for links to send parts of a blob by. */
  linkBlobParts(digest: string, uploadId: string, parts: readonly number[], options?: CallOptions): Promise<PartLinks>;
  /** Says that all of a blob was sent. */
  completeBlob(digest: string, sent: CompleteBlob, options?: CallOptions): Promise<void>;
  /** All blobs of images, the one that was unused longest first, page by page as they are taken. */
  eachImageBlob(options?: CallOptions): AsyncGenerator<ListedImageBlob>;
  /** Removes images that were not used for long, or tells what would be removed. */
  pruneImages(wish: ImagePruneRequest, options?: CallOptions): Promise<ImagePrune>;
}

/** A line of a followed log and the cursor that resumes after it. */
export interface FollowedLine {
  line: ApiLogLine;
  cursor: string | undefined;
}

/** Creates the client of one control plane. */
export function createApiClient(options: TransportOptions): ApiClient {
  const transport = createTransport(options);
  const calls = createCalls(transport);
  const { get, post, followStream } = calls;
  const client: ApiClient = {
    ...createFleetClient(calls),
    url: transport.url,
    openSession: (token, call) => post("/v1/session", { token }, call),
    getSession: (call) => get("/v1/session", {}, call),
    closeSession: async (call = {}) => {
      await transport.open({ method: "DELETE", path: "/v1/session", signal: call.signal });
    },
    submitJob: (spec, call) => post("/v1/jobs", { spec }, call, { "idempotency-key": call.idempotencyKey }),
    listJobs: (query = {}, call) => get("/v1/jobs", { ...query }, call),
    eachJob: async function* (query = {}, call) {
      for await (const page of eachPage((cursor) => client.listJobs({ ...query, cursor }, call))) yield* page.jobs;
    },
    followJobs: async function* (query = {}, follow = {}) {
      for await (const { event, data } of followStream("/v1/jobs", () => ({ ...query }), follow)) {
        if (event === "job") yield { kind: "job", job: JSON.parse(data) as Job };
        if (event === "left") yield { kind: "left", jobId: (JSON.parse(data) as { job: string }).job };
      }
    },
    getJob: (job, call) => get(jobPath(job), {}, call),
    getJobSpec: (job, call) => get(`${jobPath(job)}/spec`, {}, call),
    listTasks: (job, query = {}, call) => get(`${jobPath(job)}/tasks`, { ...query }, call),
    listTaskBriefs: (job, query = {}, call) => get(`${jobPath(job)}/task-briefs`, { ...query }, call),
    eachTask: async function* (job, query = {}, call) {
      const limit = limits.pageSize;
      const pages = eachPage((cursor) => client.listTasks(job, { ...query, limit, cursor }, call));
      for await (const page of pages) yield* page.tasks;
    },
    getTask: (job, task, call) => get(taskPath(job, task), {}, call),
    listAttempts: (job, { tasks, ...page } = {}, call) =>
      get(`${jobPath(job)}/attempts`, { ...page, tasks: tasks?.join(",") }, call),
    explainTask: (job, task, call) => get(`${taskPath(job, task)}/why`, {}, call),
    listEvents: (job, query = {}, call) => get(`${jobPath(job)}/events`, { ...query }, call),
    followEvents: async function* (job, after, follow = {}) {
      let newest = after;
      const query = (lastEventId: string | undefined) => ({ after: lastEventId ?? after, task: follow.task });
      const endsJob = (event: ServerSentEvent): boolean => event.event === "job.ended";
      for await (const { data } of followStream(`${jobPath(job)}/events`, query, follow, endsJob)) {
        const event = JSON.parse(data) as JobEvent;
        // A connection cut between an event and its id makes the server send the event again.
        if (event.seq <= newest) continue;
        newest = event.seq;
        yield event;
      }
    },
    cancelJob: (job, call) => post(`${jobPath(job)}/cancel`, {}, call),
    cancelTask: (job, task, call) => post(`${taskPath(job, task)}/cancel`, {}, call),
    retryTasks: (job, tasks, call) => {
      const headers = { "idempotency-key": call.idempotencyKey };
      return post(`${jobPath(job)}/retry`, tasks === undefined ? {} : { tasks }, call, headers);
    },
    readLog: (job, task, query = {}, call) => get(`${taskPath(job, task)}/logs`, { ...query }, call),
    listLogChunks: (job, task, query = {}, call) => get(`${taskPath(job, task)}/logs/chunks`, { ...query }, call),
    readLogBytes: (job, task, query, range, call = {}) =>
      transport.open({
        method: "GET",
        path: `${taskPath(job, task)}/logs`,
        query: { ...query },
        headers: { accept: "text/plain", range: `bytes=${range}` },
        signal: call.signal,
      }),
    followLog: async function* (job, task, query = {}, follow = {}) {
      const { cursor, tail, since, ...rest } = query;
      const resume = (lastEventId: string | undefined) =>
        lastEventId === undefined ? { ...rest, cursor, tail, since } : { ...rest, cursor: lastEventId };
      for await (const { event, id, data } of followStream(`${taskPath(job, task)}/logs`, resume, follow)) {
        if (event === "line") yield { line: JSON.parse(data) as ApiLogLine, cursor: id };
      }
    },
    listArtifacts: (job, task, query = {}, call) => get(`${taskPath(job, task)}/artifacts`, { ...query }, call),
    listArtifactFiles: (job, task, name, query = {}, call) =>
      get(`${taskPath(job, task)}/artifacts/${encodeURIComponent(name)}/files`, { ...query }, call),
    readMetrics: (job, task, query = {}, call) => get(`${taskPath(job, task)}/metrics`, { ...query }, call),
    requestLiveArtifact: (job, task, call) => post(`${taskPath(job, task)}/artifacts/live`, {}, call),
    getLiveArtifact: (job, task, id, call) =>
      get(`${taskPath(job, task)}/artifacts/live/${encodeURIComponent(id)}`, {}, call),
    putSecret: (name, value, call = {}) =>
      transport.callJson({ method: "PUT", path: secretPath(name), body: { value }, signal: call.signal }),
    listSecrets: (query = {}, call) => get("/v1/secrets", { ...query }, call),
    eachSecret: async function* (call) {
      for await (const page of eachPage((cursor) => client.listSecrets({ cursor, limit: 200 }, call))) {
        yield* page.secrets;
      }
    },
    deleteSecret: async (name, call = {}) => {
      await transport.callJson({ method: "DELETE", path: secretPath(name), signal: call.signal });
    },
    findMissingBlobs: (blobs, call) => post("/v1/images", { blobs }, call),
    uploadBlob: (digest, bytes, call) => post(uploadPath(digest), { bytes }, call),
    linkBlobParts: (digest, uploadId, parts, call) => post(`${uploadPath(digest)}/parts`, { uploadId, parts }, call),
    completeBlob: async (digest, sent, call) => {
      await post(`${uploadPath(digest)}/complete`, sent, call);
    },
    eachImageBlob: async function* (call) {
      const limit = limits.pageSize;
      const pages = eachPage((cursor) => get<ImageBlobPage>("/v1/images", { limit, cursor }, call));
      for await (const page of pages) yield* page.blobs;
    },
    pruneImages: (wish, call) => post("/v1/images/prune", wish, call),
  };
  return client;
}

function jobPath(job: string): string {
  return `/v1/jobs/${encodeURIComponent(job)}`;
}

/** A name is one part of the path, also where it has slashes. */
function secretPath(name: string): string {
  return `/v1/secrets/${encodeURIComponent(name)}`;
}

function uploadPath(digest: string): string {
  return `/v1/images/${encodeURIComponent(digest)}/upload`;
}

function taskPath(job: string, task: string): string {
  return `${jobPath(job)}/tasks/${encodeURIComponent(task)}`;
}
