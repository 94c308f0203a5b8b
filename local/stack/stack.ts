import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { S3Client } from "@aws-sdk/client-s3";
import { SQSClient } from "@aws-sdk/client-sqs";
import { defaultPool } from "../../shared/infrastructure/queues.ts";
import { streamConsumers } from "../../shared/infrastructure/table.ts";
import type { Logger } from "../../shared/log.ts";
import { createTable } from "../../shared/repository/table.ts";
import { createTokenRepository } from "../../shared/repository/tokens.ts";
import type { CloudReady, CloudSettings } from "../cloud-main.ts";
import { type DynamoDbServer, startDynamoDb } from "../dynamodb/index.ts";
import type { FunctionsSettings } from "../functions-main.ts";
import { type SupervisedChild, superviseChild } from "./child.ts";
import type { DataDir } from "./data-dir.ts";
import { retryTakenPort } from "./ports.ts";
import { type PoolQueues, provisionBucket, provisionPool, provisionTable } from "./provision.ts";
import { startStreamTrim } from "./stream-trim.ts";

const region = "us-east-1";
const stage = "local";
const tableName = "sluice";
const bucketName = "sluice-local";
const serverStopMs = 5_000;
const restartPauseMs = 1_000;
const provisionAttempts = 10;

/** How to start a stack. */
export interface StackOptions {
  port: number;
  workers: number;
  slots?: number;
  dynoxidePath?: string;
  /** A worker gets so long to drain before it is killed. */
  drainMs: number;
  /** Called when a process of the stack was started again: what `pids` answers has changed. */
  onRestart: () => void;
  /** The environment the stack's processes inherit, without what it sets itself. */
  env: NodeJS.ProcessEnv;
}

/** A running stack. */
export interface Stack {
  url: string;
  aws: Record<"dynamodb" | "sqs" | "s3" | "region" | "accessKeyId" | "secretAccessKey", string>;
  startedAt: string;
  pids(): Record<string, number | undefined>;
  /** Drains the workers, then ends everything. */
  stop(): Promise<void>;
}

/** Starts the embedded cloud, the functions and the workers, each a process of its own that is started again if it dies. */
export async function startStack(dataDir: DataDir, options: StackOptions, log: Logger): Promise<Stack> {
  const logs = join(dataDir.path, "logs");
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const startedAt = new Date().toISOString();
  const started: { stop(): Promise<void> }[] = [];
  const stopAll = async () => {
    for (const part of started.splice(0).reverse()) await part.stop();
  };
  try {
    const dynamoDb = await superviseDynamoDb(dataDir, options, log);
    started.push(dynamoDb);
    const { state } = dataDir;
    const credentials = { accessKeyId: state.accessKeyId, secretAccessKey: state.secretAccessKey };
    const cloudSettings = { dataDir: join(dataDir.path, "cloud"), region, credentials, dynamoDbUrl: dynamoDb.url };
    let cloudPorts: CloudSettings["ports"] = { ...state.ports };
    const cloud = await superviseChild<CloudReady>(
      {
        name: "cloud",
        entry: entryFile("../cloud-main.ts"),
        env: () => {
          // From the second start on with the ports of the first: queue URLs and clients name them.
          const settings: CloudSettings = { ...cloudSettings, ports: cloudPorts };
          return { ...options.env, SLUICE_CLOUD: JSON.stringify(settings) };
        },
        logFile: join(logs, "cloud.log"),
        onRestart: options.onRestart,
        saysReady: true,
      },
      log,
    );
    started.push({ stop: () => cloud.stop(serverStopMs) });
    const { sqs, s3, dynamoDbFaults } = cloud.ready;
    state.ports = { dynamodb: dynamoDb.port, sqs: sqs.port, s3: s3.port };
    dataDir.save();
    cloudPorts = { sqs: sqs.port, s3: s3.port, ...(dynamoDbFaults ? { dynamoDbFaults: dynamoDbFaults.port } : {}) };
    const dynamoDbUrl = dynamoDbFaults?.url ?? dynamoDb.url;
    const aws = { dynamodb: dynamoDbUrl, sqs: sqs.url, s3: s3.url, region, ...credentials };
    const awsEnv = describeCloud(options.env, aws);
    const { streamArn, pool } = await provision(dataDir, aws);
    const functions = await startFunctions(options, log, logs, awsEnv, { dataDir, streamArn, pool });
    const streamTrim = startStreamTrim(
      {
        target: dynamoDb.server,
        tableName,
        checkpointFile: checkpointFileOf(dataDir),
        consumers: Object.keys(streamConsumers),
      },
      log,
    );
    started.push({ stop: async () => streamTrim.close() });
    started.push({ stop: () => functions.stop(serverStopMs) });
    const url = `http://127.0.0.1:${options.port}`;
    const workers = await Promise.all(
      Array.from({ length: options.workers }, (_, index) =>
        startWorker(options, log, logs, awsEnv, { dataDir, url, index }),
      ),
    );
    started.push({ stop: async () => void (await Promise.all(workers.map((worker) => worker.stop(options.drainMs)))) });
    const pids = () => ({
      dynamodb: dynamoDb.pid(),
      cloud: cloud.pid(),
      functions: functions.pid(),
      ...Object.fromEntries(workers.map((worker, index) => [`worker-${index + 1}`, worker.pid()])),
    });
    return { url, aws, startedAt, pids, stop: stopAll };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

/** The environment by which clients reach the embedded cloud; nothing else tells them that it is one. */
function describeCloud(env: NodeJS.ProcessEnv, aws: Stack["aws"]): NodeJS.ProcessEnv {
  const inherited = Object.entries(env).filter(([name]) => !name.startsWith("AWS_") && !name.startsWith("SST_"));
  return {
    ...Object.fromEntries(inherited),
    AWS_REGION: aws.region,
    AWS_ACCESS_KEY_ID: aws.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.secretAccessKey,
    AWS_ENDPOINT_URL_DYNAMODB: aws.dynamodb,
    AWS_ENDPOINT_URL_DYNAMODB_STREAMS: aws.dynamodb,
    AWS_ENDPOINT_URL_SQS: aws.sqs,
    AWS_ENDPOINT_URL_S3: aws.s3,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  };
}

async function provision(dataDir: DataDir, aws: Stack["aws"]): Promise<{ streamArn: string; pool: PoolQueues }> {
  const credentials = { accessKeyId: aws.accessKeyId, secretAccessKey: aws.secretAccessKey };
  // A stack that does not start for a few failed requests helps nobody.
  const base = { region, credentials, maxAttempts: provisionAttempts };
  const dynamoDb = new DynamoDBClient({ ...base, endpoint: aws.dynamodb });
  const sqs = new SQSClient({ ...base, endpoint: aws.sqs });
  const s3 = new S3Client({ ...base, endpoint: aws.s3, forcePathStyle: true });
  try {
    const [streamArn, pool] = await Promise.all([
      provisionTable(dynamoDb, tableName),
      provisionPool(sqs, stage, defaultPool),
      provisionBucket(s3, bucketName),
    ]);
    const tokens = createTokenRepository(createTable(dynamoDb, tableName));
    await tokens.put(dataDir.state.adminToken, { name: "local", role: "admin" });
    await tokens.put(dataDir.state.workerToken, { name: "local-worker", role: "worker" });
    return { streamArn, pool };
  } finally {
    for (const client of [dynamoDb, sqs, s3]) client.destroy();
  }
}

function startFunctions(
  options: StackOptions,
  log: Logger,
  logs: string,
  awsEnv: NodeJS.ProcessEnv,
  { dataDir, streamArn, pool }: { dataDir: DataDir; streamArn: string; pool: PoolQueues },
): Promise<SupervisedChild<unknown>> {
  const settings: FunctionsSettings = {
    port: options.port,
    tableName,
    streamArn,
    checkpointFile: checkpointFileOf(dataDir),
    consoleFolder: entryFile("../../console/dist"),
    deadLetterQueues: [pool.deadLetters],
  };
  const env = () => ({
    ...awsEnv,
    SLUICE_FUNCTIONS: JSON.stringify(settings),
    SST_RESOURCE_App: JSON.stringify({ name: "sluice", stage }),
    SST_RESOURCE_Table: JSON.stringify({ name: tableName }),
    SST_RESOURCE_Bucket: JSON.stringify({ name: bucketName }),
    SST_RESOURCE_Secrets: JSON.stringify({ kind: "local", folder: join(dataDir.path, "secrets") }),
    SST_RESOURCE_Pools: JSON.stringify({ [defaultPool]: { queueUrl: pool.queueUrl } }),
  });
  const entry = entryFile("../functions-main.ts");
  const { onRestart } = options;
  const logFile = join(logs, "functions.log");
  return superviseChild({ name: "functions", entry, env, logFile, onRestart, saysReady: true }, log);
}

function startWorker(
  options: StackOptions,
  log: Logger,
  logs: string,
  awsEnv: NodeJS.ProcessEnv,
  { dataDir, url, index }: { dataDir: DataDir; url: string; index: number },
): Promise<SupervisedChild<unknown>> {
  const name = `worker-${index + 1}`;
  const env = () => ({
    ...awsEnv,
    SLUICE_URL: url,
    SLUICE_TOKEN: dataDir.state.workerToken,
    SLUICE_POOL: defaultPool,
    SLUICE_WORK_DIR: join(dataDir.path, "work"),
    SLUICE_EXECUTORS: "docker,process",
    ...(options.slots === undefined ? {} : { SLUICE_SLOTS: String(options.slots) }),
  });
  const entry = entryFile("../../workers/main.ts");
  const { onRestart } = options;
  return superviseChild({ name, entry, env, logFile: join(logs, `${name}.log`), onRestart, saysReady: false }, log);
}

/** The embedded DynamoDB as a part of the stack: started again on the same port when it ends unasked. */
async function superviseDynamoDb(dataDir: DataDir, options: StackOptions, log: Logger) {
  const start = () =>
    startDynamoDb({
      dataDir: join(dataDir.path, "cloud", "dynamodb"),
      ...(port === undefined ? {} : { port }),
      ...(options.dynoxidePath ? { binaryPath: options.dynoxidePath } : {}),
    });
  let port = dataDir.state.ports.dynamodb;
  let stopping = false;
  let server: DynamoDbServer = await retryTakenPort(start);
  port = server.port;
  const watch = async () => {
    while (!stopping) {
      const { code, signal } = await server.exited;
      if (stopping) return;
      log.warn({ code, signal }, "the embedded DynamoDB ended unasked; starting it again");
      await startAgain();
    }
  };
  // A start that fails, as on a machine that is too busy for its deadline, is not the last one.
  const startAgain = async () => {
    while (!stopping) {
      try {
        server = await retryTakenPort(start);
        if (stopping) await server.stop();
        else options.onRestart();
        return;
      } catch (error) {
        log.error({ err: error }, "the embedded DynamoDB could not be started again; trying once more");
        await sleep(restartPauseMs);
      }
    }
  };
  void watch();
  return {
    url: server.url,
    port,
    pid: () => server.pid,
    server: () => server,
    async stop() {
      stopping = true;
      await server.stop();
    },
  };
}

function checkpointFileOf(dataDir: DataDir): string {
  return join(dataDir.path, "cloud", "stream-checkpoints.sqlite");
}

function entryFile(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}
