import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { z } from "zod";
import {
  type AttemptResult,
  attemptResultSchema,
  attemptResultsSchema,
  type ClaimAnswer,
  type ClaimedTask,
  claimAnswerSchema,
  claimRequestSchema,
  type Heartbeat,
  type HeartbeatAnswer,
  heartbeatSchema,
  type LiveWish,
  type RegisterWorker,
  type ResultAnswer,
  registerWorkerSchema,
  type TaskClaimRequest,
  type WorkerSettings,
} from "../../shared/api/worker-schemas.ts";
import { formatAttemptId } from "../../shared/domain/ids.ts";

/** A task as a test gives it; the rest is what a small task has. */
export type FakeTaskInput = Pick<ClaimedTask, "steps"> & Partial<ClaimedTask>;

/** How one attempt went, as the control plane saw it. */
export interface FakeAttempt {
  attemptId: string;
  workerId: string;
  leaseToken: string;
  leaseUntilMs: number;
  claimedAtMs: number;
  result?: AttemptResult["result"];
}

interface FakeTask {
  jobId: string;
  task: string;
  input: FakeTaskInput;
  attempts: FakeAttempt[];
  ended: boolean;
  cancel?: NonNullable<HeartbeatAnswer["attempts"][number]["cancel"]>;
  /** Told with every heartbeat from then on. */
  live?: LiveWish;
  watched?: boolean;
}

/** The routes that workers use, in memory: leases, attempts and answers as the real control plane gives them. */
export class FakeControlPlane {
  readonly token = `worker-${randomUUID()}`;
  readonly registrations: RegisterWorker[] = [];
  readonly heartbeats: Heartbeat[] = [];
  readonly #lastBeats = new Map<string, Heartbeat>();
  readonly #tasks = new Map<string, FakeTask>();
  readonly #settings: WorkerSettings;
  readonly #server: Server;
  #available = true;
  #drain = false;
  readonly #held = new Map<string, Promise<void>>();
  /** Calls by route. */
  readonly calls: Record<string, number> = {};
  /** Answers results of ended attempts instead of `accepted`. */
  resultAnswer: ResultAnswer = { status: "accepted" };
  /** Told with every heartbeat. */
  requiredVersion: string | undefined;
  /** Whether a task that the infrastructure failed is tried again, at once. */
  retriesInfrastructure = false;
  /** `kept`: somebody takes a drain back just before the worker's farewell. */
  farewells: "taken" | "kept" = "taken";
  /** How far its clock is behind, in milliseconds. */
  behindMs = 0;

  private constructor(server: Server, settings: WorkerSettings) {
    this.#server = server;
    this.#settings = settings;
    server.on("request", (request, response) => void this.#answer(request, response));
  }

  static async start(settings: WorkerSettings, port = 0): Promise<FakeControlPlane> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return new FakeControlPlane(server, settings);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Adds a task; answers the body of its message. */
  addTask(name: string, input: FakeTaskInput, jobId = "job-01arz3ndektsv4rrffq69g5fav"): string {
    this.#tasks.set(`${jobId}/${name}`, { jobId, task: name, input, attempts: [], ended: false });
    return JSON.stringify({ v: 1, jobId, task: name, bucket: 0, slots: input.slots ?? 1 });
  }

  /** The last heartbeat of a worker. */
  lastBeat(workerId: string): Heartbeat | undefined {
    return this.#lastBeats.get(workerId);
  }

  task(name: string, jobId = "job-01arz3ndektsv4rrffq69g5fav"): FakeTask {
    const task = this.#tasks.get(`${jobId}/${name}`);
    if (task === undefined) throw new Error(`there is no task ${name}`);
    return task;
  }

  /** The last attempt's outcome once it has ended. */
  outcome(name: string) {
    const result = this.task(name).attempts.at(-1)?.result;
    return result?.kind === "ended" ? result.outcome : undefined;
  }

  cancel(name: string, cause: "user" | "abort_policy" | "job_timeout" = "user"): void {
    this.task(name).cancel = { cause, detail: `cancelled by a test (${cause})` };
  }

  /** Somebody follows the task's log from now on. */
  watch(name: string): void {
    this.task(name).watched = true;
  }

  /** Takes the lease away, as if it had run out. */
  loseLease(name: string): void {
    for (const attempt of this.task(name).attempts) attempt.leaseUntilMs = 0;
    const last = this.task(name).attempts.at(-1);
    if (last) last.leaseToken = "taken";
  }

  drainWorkers(wanted = true): void {
    this.#drain = wanted;
  }

  /** Requests of a route (as in `calls`) are taken, and answered only when the function is called that this answers. */
  hold(route: string): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held.set(route, promise);
    return () => {
      this.#held.delete(route);
      resolve();
    };
  }

  /** While it is not available every request is cut without an answer. */
  setAvailable(available: boolean): void {
    this.#available = available;
    if (!available) this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#available) return void request.socket.destroy();
    const body = await readJson(request);
    const path = request.url ?? "";
    if (request.headers.authorization !== `Bearer ${this.token}`) return sendProblem(response, 401, "unauthorized");
    const worker = /^\/v1\/workers\/([^/]+)\/(heartbeat|claims)$/.exec(path);
    const result = /^\/v1\/attempts\/([^/]+)\/result$/.exec(path);
    const plain = { "/v1/workers": "workers", "/v1/attempts/results": "results" }[path];
    const route = plain ?? worker?.[2] ?? (result ? "result" : "unknown");
    this.calls[route] = (this.calls[route] ?? 0) + 1;
    const answers: Record<string, () => unknown> = {
      workers: () => {
        this.registrations.push(parse(registerWorkerSchema, body));
        return this.#settings;
      },
      heartbeat: () => this.#beat(worker?.[1] ?? "", parse(heartbeatSchema, body)),
      claims: () => claimAnswerSchema.parse(this.#claim(worker?.[1] ?? "", parse(claimRequestSchema, body).claims)),
      result: () => this.#finish(decodeURIComponent(result?.[1] ?? ""), parse(attemptResultSchema, body)),
      results: () => ({
        results: parse(attemptResultsSchema, body).results.map(({ attemptId, ...rest }) =>
          this.#finish(attemptId, rest),
        ),
      }),
    };
    const answer = answers[route];
    if (answer === undefined) return sendProblem(response, 404, "not_found");
    const told = JSON.stringify(answer());
    await this.#held.get(route);
    response.setHeader("content-type", "application/json");
    response.setHeader("date", new Date(Date.now() - this.behindMs).toUTCString());
    response.end(told);
  }

  #beat(workerId: string, heartbeat: Heartbeat): HeartbeatAnswer {
    this.heartbeats.push(heartbeat);
    this.#lastBeats.set(workerId, heartbeat);
    const attempts = heartbeat.attempts.map(({ attemptId, leaseToken }) => {
      const [task, attempt] = this.#find(attemptId);
      const renewed = attempt?.leaseToken === leaseToken && !task?.ended;
      if (renewed && attempt) attempt.leaseUntilMs = Date.now() + this.#settings.leaseMs;
      const { cancel, live, watched = false } = task ?? {};
      const lease = renewed ? ("renewed" as const) : ("lost" as const);
      return { attemptId, lease, watched, ...(cancel && { cancel }), ...(live && { live }) };
    });
    const { requiredVersion } = this;
    if (heartbeat.mayStay && this.farewells === "kept") this.#drain = false;
    const stay = heartbeat.mayStay === true && !this.#drain;
    return {
      drain: this.#drain,
      attempts,
      ...(stay && { stay }),
      ...(requiredVersion === undefined ? {} : { requiredVersion }),
    };
  }

  #claim(workerId: string, claims: readonly TaskClaimRequest[]): ClaimAnswer {
    return {
      claims: claims.map(({ jobId, task: name, bucket, leaseToken }) => {
        const task = this.#tasks.get(`${jobId}/${name}`);
        if (task === undefined || task.ended) return { status: "drop", detail: "the task is over" };
        const last = task.attempts.at(-1);
        const leftMs = last?.result === undefined ? (last?.leaseUntilMs ?? 0) - Date.now() : 0;
        if (leftMs > 0) {
          return { status: "wait", detail: "the lease has not run out", retryAfterSeconds: Math.ceil(leftMs / 1000) };
        }
        const number = task.attempts.length + 1;
        const attempt = {
          attemptId: formatAttemptId({ jobId, bucket, task: name, attempt: number }),
          workerId,
          leaseToken,
          leaseUntilMs: Date.now() + this.#settings.leaseMs,
          claimedAtMs: Date.now(),
        };
        task.attempts.push(attempt);
        return {
          slots: 1,
          timeoutMs: 600_000,
          env: {},
          secrets: {},
          artifacts: { paths: ["**"] },
          images: {},
          services: {},
          ...task.input,
          status: "claimed",
          attemptId: attempt.attemptId,
          leaseToken: attempt.leaseToken,
          jobId,
          task: name,
          attempt: number,
        };
      }),
    };
  }

  #finish(attemptId: string, { leaseToken, result }: AttemptResult): ResultAnswer {
    const [task, attempt] = this.#find(attemptId);
    if (task === undefined || attempt === undefined || attempt.leaseToken !== leaseToken) return { status: "lost" };
    attempt.result = result;
    const isRetried = this.retriesInfrastructure && result.kind === "ended" && result.outcome.reason?.fault !== "user";
    const isFailure = result.kind === "ended" && result.outcome.state !== "completed";
    if (result.kind === "released" || (isRetried && isFailure)) return { status: "retry", retryAfterSeconds: 0 };
    if (this.resultAnswer.status === "accepted") task.ended = true;
    return this.resultAnswer;
  }

  #find(attemptId: string): [FakeTask | undefined, FakeAttempt | undefined] {
    for (const task of this.#tasks.values()) {
      const attempt = task.attempts.find((candidate) => candidate.attemptId === attemptId);
      if (attempt !== undefined) return [task, attempt];
    }
    return [undefined, undefined];
  }
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  return schema.parse(body);
}

function sendProblem(response: ServerResponse, status: number, code: string): void {
  response.statusCode = status;
  response.setHeader("content-type", "application/problem+json");
  response.end(JSON.stringify({ type: "about:blank", title: code, status, code, detail: `refused: ${code}` }));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return pieces.length === 0 ? undefined : JSON.parse(Buffer.concat(pieces).toString("utf8"));
}
