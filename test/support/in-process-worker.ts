import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnBoundChild } from "../../local/dynamodb/bound-child.ts";
import type { RunningStack } from "./local-stack.ts";

const entryFile = fileURLToPath(new URL("./in-process-worker-main.ts", import.meta.url));
const keptLines = 50;

/** A worker in a process of its own, whose tasks run nothing. */
export interface InProcessWorker {
  pid: number;
  stop(): Promise<void>;
}

/** Starts a worker for a stack that was started with none, and waits until it takes tasks. */
export async function startInProcessWorker(
  stack: RunningStack,
  slots: number,
  env: NodeJS.ProcessEnv = {},
): Promise<InProcessWorker> {
  const { aws } = stack;
  const state = JSON.parse(readFileSync(join(stack.dataDir, "state.json"), "utf8")) as { workerToken: string };
  const ready = Promise.withResolvers<void>();
  const said: string[] = [];
  const child = await spawnBoundChild({
    command: process.execPath,
    args: [entryFile],
    env: {
      ...process.env,
      ...env,
      SLUICE_URL: stack.url,
      SLUICE_TOKEN: state.workerToken,
      SLUICE_SLOTS: String(slots),
      SLUICE_EXECUTORS: "process",
      SLUICE_WORK_DIR: join(stack.dataDir, "work"),
      AWS_ENDPOINT_URL_SQS: aws.sqs,
      AWS_ENDPOINT_URL_S3: aws.s3,
      AWS_REGION: aws.region,
      AWS_ACCESS_KEY_ID: aws.accessKeyId,
      AWS_SECRET_ACCESS_KEY: aws.secretAccessKey,
    },
    onLine: (line) => {
      if (line.startsWith('{"ready"')) ready.resolve();
      else if (said.push(line) > keptLines) said.shift();
    },
  });
  void child.exited.then(() => ready.reject(new Error(`the worker ended at its start: ${said.join("\n")}`)));
  await ready.promise;
  return { pid: child.pid, stop: async () => void (await child.stop(10_000)) };
}
