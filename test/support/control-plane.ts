import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBStreamsClient } from "@aws-sdk/client-dynamodb-streams";
import { S3Client } from "@aws-sdk/client-s3";
import { SQSClient } from "@aws-sdk/client-sqs";
import type { SQSEvent } from "aws-lambda";
import { createApp } from "../../functions/api/app.ts";
import { buildDeps } from "../../functions/build-deps.ts";
import { workOnChores } from "../../functions/consumers/chores.ts";
import { settleDeadLetters } from "../../functions/consumers/dead-letters.ts";
import { foldRecords } from "../../functions/consumers/fold.ts";
import type { Deps } from "../../functions/deps.ts";
import { sweepDue } from "../../functions/schedules/sweep.ts";
import type { SweepReport } from "../../functions/schedules/sweep-report.ts";
import { startDynamoDb } from "../../local/dynamodb/index.ts";
import { matchesAnyPattern } from "../../local/lambda/event-filter.ts";
import { deliverBatch } from "../../local/lambda/queue-source.ts";
import { createS3Server } from "../../local/s3/index.ts";
import { createSqsServer, type SqsServerOptions } from "../../local/sqs/index.ts";
import { type PoolQueues, provisionBucket, provisionPool, provisionTable } from "../../local/stack/provision.ts";
import { createLocalSecretStore } from "../../shared/clients/local-secret-store.ts";
import { presigningOptions } from "../../shared/clients/object-store.ts";
import { PlainJsonProtocol } from "../../shared/clients/plain-json.ts";
import { type ConfiguredLimits, defaultLimits } from "../../shared/domain/limits.ts";
import type { Role } from "../../shared/domain/roles.ts";
import { functionLimits } from "../../shared/infrastructure/functions.ts";
import { deadLetterConsumer } from "../../shared/infrastructure/queues.ts";
import { streamConsumers, streamDelivery } from "../../shared/infrastructure/table.ts";
import type { JobSpecInput } from "../../shared/jobfile/job-spec.ts";
import { createLogger } from "../../shared/log.ts";
import { createTable, type Table } from "../../shared/repository/table.ts";
import { createRequestRecorder, type RequestRecorder } from "./control-plane-requests.ts";
import { createStreamReader, type StreamReader } from "./control-plane-stream.ts";
import { createFakeWorker, type FakeWorker } from "./control-plane-worker.ts";

const region = "us-east-1";
const credentials = { accessKeyId: "TESTKEY", secretAccessKey: "test-secret" };
/** The clock starts here and moves only when a test moves it: 2026-01-05T08:00:00Z. */
const startMs = Date.UTC(2026, 0, 5, 8);
const choreMs = 60_000;

/** The embedded servers, shared by the tests of one file; each control plane has its own table, bucket and queues. */
export interface EmbeddedCloud {
  endpoints: Record<"dynamodb" | "sqs" | "s3", string>;
  /** Removed by `stop`. */
  folder: string;
  stop(): Promise<void>;
}

/** What of the cloud a test needs to be other than usual. */
export interface EmbeddedCloudOptions {
  sqs?: Pick<SqsServerOptions, "clock" | "limits">;
}

/** Starts DynamoDB (a child process), SQS and S3 (in this process) on a folder of their own. */
export async function startEmbeddedCloud({ sqs: sqsOptions = {} }: EmbeddedCloudOptions = {}): Promise<EmbeddedCloud> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-control-plane-"));
  const started: (() => Promise<void>)[] = [];
  const stop = async () => {
    await Promise.all(started.map((end) => end()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const dynamoDb = await startDynamoDb({ dataDir: join(folder, "dynamodb") });
    started.push(() => dynamoDb.stop());
    const sqs = await createSqsServer({ dataDir: join(folder, "sqs"), region, credentials, ...sqsOptions });
    started.push(() => sqs.close());
    const s3 = await createS3Server({ dataDir: join(folder, "s3"), region, credentials });
    started.push(() => s3.close());
    return { endpoints: { dynamodb: dynamoDb.url, sqs: sqs.url, s3: s3.url }, folder, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** How to call the API. */
export interface ApiCall {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  body?: unknown;
  /** Whose token is sent; `none` sends no token. Without a role: an admin's. */
  role?: Role | "none";
  headers?: Record<string, string>;
  app?: Deps;
}

/** A whole control plane in the test's process, on real embedded servers, with a clock that the test moves. */
export interface ControlPlane {
  deps: Deps;
  table: Table;
  clock: { now(): number; advance(ms: number): void };
  requests: RequestRecorder;
  stream: StreamReader;
  /** Structured log lines of all functions. */
  logLines: Record<string, unknown>[];
  /** Another process of the same control plane: same clients, a memory of its own. */
  startProcess(): Deps;
  request(path: string, call?: ApiCall): Promise<Response>;
  /** Calls the API and answers the JSON of a 2xx answer. */
  call<T>(path: string, call?: ApiCall): Promise<T>;
  submit(spec: JobSpecInput, headers?: Record<string, string>): Promise<string>;
  createWorker(pool?: string): FakeWorker;
  /** Hands new stream records to the fold and to the chores, as their triggers do, until nothing new comes. */
  foldAll(): Promise<void>;
  sweep(remainingMs?: number): Promise<SweepReport>;
  /** Hands the dead letters of all pools to their function, until there are none; answers how many there were. */
  settleDeadLetters(): Promise<number>;
  close(): void;
}

/** What a control plane of a test may have of its own. */
export interface ControlPlaneOptions {
  pools?: readonly string[];
  limits?: Partial<ConfiguredLimits>;
}

/** Provisions a table, a bucket and pools of its own in the cloud given and wires a control plane to them. */
export async function createControlPlane(
  cloud: EmbeddedCloud,
  options: ControlPlaneOptions = {},
): Promise<ControlPlane> {
  const suffix = randomUUID();
  const tableName = `sluice-${suffix}`;
  const bucketName = `sluice-${suffix}`;
  const base = { region, credentials, maxAttempts: 1 };
  const json = { ...base, protocol: PlainJsonProtocol };
  const dynamoDb = new DynamoDBClient({ ...json, endpoint: cloud.endpoints.dynamodb });
  const streams = new DynamoDBStreamsClient({ ...base, endpoint: cloud.endpoints.dynamodb });
  const sqs = new SQSClient({ ...json, endpoint: cloud.endpoints.sqs });
  const s3 = new S3Client({ ...base, ...presigningOptions, endpoint: cloud.endpoints.s3, forcePathStyle: true });
  const streamArn = await provisionTable(dynamoDb, tableName);
  await provisionBucket(s3, bucketName);
  const queueUrls: Record<string, string> = {};
  const deadLetterQueues: PoolQueues["deadLetters"][] = [];
  for (const pool of options.pools ?? ["default"]) {
    const queues = await provisionPool(sqs, suffix.slice(0, 8), pool);
    queueUrls[pool] = queues.queueUrl;
    deadLetterQueues.push(queues.deadLetters);
  }
  const requests = createRequestRecorder();
  requests.watch("dynamodb", dynamoDb);
  requests.watch("sqs", sqs);
  requests.watch("s3", s3);

  let nowMs = startMs;
  const clock = {
    now: () => nowMs,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
  const logLines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void logLines.push(JSON.parse(line) as Record<string, unknown>) };
  const log = createLogger("test", { level: "debug", destination });
  const secrets = createLocalSecretStore(join(cloud.folder, `secrets-${suffix}`));
  const limits = { ...defaultLimits, ...options.limits };
  const sources = { dynamoDb, sqs, s3, tableName, bucketName, secrets, queueUrls, limits, log, now: () => nowMs };
  const startProcess = () => buildDeps(sources);
  const deps = startProcess();
  for (const role of ["viewer", "submitter", "operator", "admin", "worker"] as const) {
    await deps.tokens.put(tokenOf(role), { name: `test-${role}`, role });
  }
  const apps = new Map<Deps, ReturnType<typeof createApp>>();
  const stream = createStreamReader(streams, streamArn);

  const request = async (path: string, call: ApiCall = {}) => {
    const on = call.app ?? deps;
    const app = apps.get(on) ?? createApp(on);
    apps.set(on, app);
    const role = call.role ?? "admin";
    const method = call.method ?? (call.body === undefined ? "GET" : "POST");
    return app.request(path, {
      method,
      headers: {
        ...(role === "none" ? {} : { authorization: `Bearer ${tokenOf(role)}` }),
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        ...call.headers,
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    });
  };
  const callApi = async <T>(path: string, call?: ApiCall): Promise<T> => {
    const response = await request(path, call);
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  };
  const controlPlane: ControlPlane = {
    deps,
    table: createTable(dynamoDb, tableName),
    clock,
    requests,
    stream,
    logLines,
    startProcess,
    request,
    call: callApi,
    async submit(spec, headers = {}) {
      return (await callApi<{ job: string }>("/v1/jobs", { body: { spec }, role: "submitter", headers })).job;
    },
    createWorker: (pool) => createFakeWorker(controlPlane, pool),
    async foldAll() {
      for (;;) {
        const records = await stream.readNew();
        if (records.length === 0) return;
        const toFold = records.filter((record) => matchesAnyPattern(streamConsumers.fold, record));
        for (let start = 0; start < toFold.length; start += streamDelivery.batchSize) {
          const answer = await foldRecords(deps, { Records: toFold.slice(start, start + streamDelivery.batchSize) });
          if (answer.batchItemFailures.length > 0)
            throw new Error(`the fold failed: ${JSON.stringify(logLines.at(-1))}`);
        }
        const chores = records.filter((record) => matchesAnyPattern(streamConsumers.chores, record));
        await workOnChores(deps, { Records: chores }, choreMs);
      }
    },
    async settleDeadLetters() {
      let settled = 0;
      for (const queue of deadLetterQueues) {
        const handler = (event: SQSEvent) => settleDeadLetters(deps, event);
        const fn = { name: "dead-letters", ...queue, ...deadLetterConsumer, ...functionLimits.deadLetters, handler };
        for (let count = 1; count > 0; settled += count) count = await deliverBatch(sqs, fn, { waitSeconds: 0 });
      }
      return settled;
    },
    sweep: (remainingMs = choreMs) => sweepDue(deps, remainingMs),
    close() {
      for (const client of [dynamoDb, streams, sqs, s3]) client.destroy();
    },
  };
  return controlPlane;
}

/** The token of a role, as the control plane of a test knows it. */
function tokenOf(role: Role): string {
  return `token-of-${role}`;
}

/** A job of process steps that do nothing, with the tasks named. */
export function noopJob(tasks: readonly string[], change: Partial<JobSpecInput> = {}): JobSpecInput {
  return {
    name: "noop",
    steps: [{ kind: "process", name: "true", entry: { command: ["true"] } }],
    tasks: tasks.map((name) => ({ name })),
    ...change,
  };
}

/** Names of tasks: `t0001`, `t0002` … */
export function taskNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `t${String(index + 1).padStart(4, "0")}`);
}
