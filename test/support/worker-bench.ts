import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import type { FaultRules } from "../../local/aws/faults.ts";
import { createS3Server } from "../../local/s3/index.ts";
import { createSqsServer } from "../../local/sqs/index.ts";
import { createObjectStore, type ObjectStore } from "../../shared/clients/object-store.ts";
import { createQueue, type Queue } from "../../shared/clients/queue.ts";
import { eachLogLine, type LogLine } from "../../shared/domain/log-line.ts";
import { attemptPrefix, stepLogPrefix } from "../../shared/domain/object-keys.ts";
import { unpackLogChunk } from "../../shared/log-chunk.ts";
import { FakeControlPlane } from "./fake-control-plane.ts";

const credentials = { accessKeyId: "test", secretAccessKey: "test-secret" };
const region = "eu-west-1";
export const benchJobId = "job-01arz3ndektsv4rrffq69g5fav";

/** How fast things go; the defaults make leases end within a test. */
export interface BenchTimes {
  heartbeatMs?: number;
  leaseMs?: number;
  visibilityTimeoutSeconds?: number;
  /** What goes wrong with requests to the bucket. */
  s3Faults?: FaultRules;
}

/** What a worker talks to, for tests: embedded SQS and S3, and a control plane in memory. */
export class WorkerBench {
  readonly folder: string;
  readonly plane: FakeControlPlane;
  readonly queue: Queue;
  readonly objects: ObjectStore;
  readonly sqsServer: Awaited<ReturnType<typeof createSqsServer>>;
  readonly s3Server: Awaited<ReturnType<typeof createS3Server>>;
  readonly queueUrl: string;
  readonly #sqs: SQSClient;
  readonly #s3: S3Client;

  private constructor(parts: Pick<WorkerBench, "folder" | "plane" | "sqsServer" | "s3Server" | "queueUrl">) {
    this.folder = parts.folder;
    this.plane = parts.plane;
    this.sqsServer = parts.sqsServer;
    this.s3Server = parts.s3Server;
    this.queueUrl = parts.queueUrl;
    this.#sqs = this.createSqsClient();
    this.#s3 = this.createS3Client();
    this.queue = createQueue(this.#sqs, this.queueUrl);
    this.objects = createObjectStore(this.#s3, "bench");
  }

  static async open(times: BenchTimes = {}): Promise<WorkerBench> {
    const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
    const { heartbeatMs = 200, leaseMs = 2_000, visibilityTimeoutSeconds = 2, s3Faults = [] } = times;
    const sqsServer = await createSqsServer({ dataDir: join(folder, "sqs"), region, credentials });
    const s3Server = await createS3Server({ dataDir: join(folder, "s3"), region, credentials, faults: s3Faults });
    const sqs = new SQSClient({ endpoint: sqsServer.url, region, credentials });
    const VisibilityTimeout = String(visibilityTimeoutSeconds);
    const created = await sqs.send(new CreateQueueCommand({ QueueName: "bench", Attributes: { VisibilityTimeout } }));
    sqs.destroy();
    const queueUrl = created.QueueUrl ?? "";
    const settings = { queueUrl, bucket: "bench", heartbeatMs, leaseMs, visibilityTimeoutSeconds };
    const plane = await FakeControlPlane.start(settings);
    const bench = new WorkerBench({ folder, plane, sqsServer, s3Server, queueUrl });
    await bench.#s3.send(new CreateBucketCommand({ Bucket: "bench" }));
    return bench;
  }

  createSqsClient(): SQSClient {
    return new SQSClient({ endpoint: this.sqsServer.url, region, credentials, maxAttempts: 2 });
  }

  createS3Client(): S3Client {
    return new S3Client({ endpoint: this.s3Server.url, region, credentials, forcePathStyle: true, maxAttempts: 2 });
  }

  /** The environment of a worker process. */
  workerEnv(more: Record<string, string> = {}): Record<string, string> {
    return {
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? "",
      SLUICE_URL: this.plane.url,
      SLUICE_TOKEN: this.plane.token,
      SLUICE_SLOTS: "2",
      SLUICE_WORK_DIR: join(this.folder, "work"),
      SLUICE_EXECUTORS: "process",
      AWS_ENDPOINT_URL_SQS: this.sqsServer.url,
      AWS_ENDPOINT_URL_S3: this.s3Server.url,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      ...more,
    };
  }

  async send(...bodies: string[]): Promise<void> {
    await this.queue.send(bodies.map((body) => ({ body, groupId: "bench" })));
  }

  /** Messages by what may be done with them now. */
  async countMessages(): Promise<{ visible: number; inFlight: number; delayed: number }> {
    const { Attributes = {} } = await this.#sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: this.queueUrl, AttributeNames: ["All"] }),
    );
    return {
      visible: Number(Attributes.ApproximateNumberOfMessages),
      inFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible),
      delayed: Number(Attributes.ApproximateNumberOfMessagesDelayed),
    };
  }

  /** Keys under an attempt, without their common start. */
  async listAttempt(task: string, attempt = 1): Promise<string[]> {
    const prefix = attemptPrefix(benchJobId, task, attempt);
    const { objects } = await this.objects.list(prefix);
    return objects.map((object) => object.key.slice(prefix.length));
  }

  /** The stored log of a step. */
  readLog(task: string, step = 1, attempt = 1): Promise<LogLine[]> {
    return this.readLogUnder(stepLogPrefix(benchJobId, task, attempt, step));
  }

  /** The stored log whose chunks are under a prefix. */
  async readLogUnder(prefix: string): Promise<LogLine[]> {
    const { objects } = await this.objects.list(prefix);
    const lines: LogLine[] = [];
    for (const { key } of objects) {
      // A joined chunk repeats others.
      if (key.includes("+")) continue;
      const chunk = await this.objects.get(key);
      lines.push(...eachLogLine(await unpackLogChunk(chunk ?? Buffer.alloc(0))));
    }
    return lines;
  }

  async close(): Promise<void> {
    this.#sqs.destroy();
    this.#s3.destroy();
    await Promise.all([this.plane.close(), this.sqsServer.close(), this.s3Server.close()]);
    await rm(this.folder, { recursive: true, force: true });
  }
}
