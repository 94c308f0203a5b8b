import { createHash } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { S3Client } from "@aws-sdk/client-s3";
import type { LogPage } from "../../../shared/api/log-schemas.ts";
import type { Task } from "../../../shared/api/schemas.ts";
import { createObjectStore, type ObjectStore } from "../../../shared/clients/object-store.ts";
import { type Manifest, manifestSchema } from "../../../shared/domain/manifest.ts";
import { attemptPrefix, manifestKey } from "../../../shared/domain/object-keys.ts";
import type { RunningStack } from "../local-stack.ts";
import { callPatiently, type JobRecord, type Patience } from "./patient-api.ts";
import { endedByItself, type Finding } from "./verdict.ts";
import { greetingOf, type PlannedJob, type PlannedTask } from "./workload.ts";

const bucketName = "sluice-local";

/** The bucket of a running stack; to be closed. */
export function openBucket({ aws }: Pick<RunningStack, "aws">): { objects: ObjectStore; close(): void } {
  const { accessKeyId, secretAccessKey } = aws;
  const client = new S3Client({
    endpoint: aws.s3,
    region: aws.region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    // It reads from servers that fail on purpose too.
    maxAttempts: 10,
  });
  return { objects: createObjectStore(client, bucketName), close: () => client.destroy() };
}

/** Compares what a job left in the bucket with what the API says, and with what its tasks should have left. */
export async function judgeObjects(
  stack: RunningStack,
  objects: ObjectStore,
  { plan, record }: { plan: PlannedJob; record: JobRecord },
  patience: Patience,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const planned = new Map(plan.tasks.map((task) => [task.name, task]));
  for (const task of record.tasks) {
    const demanded = planned.get(task.task);
    // A task that no attempt ended has no manifest, such as one whose workers all died, or that was cancelled first.
    if (!demanded || !endedByItself(demanded, task)) continue;
    const where = { jobId: task.job, task: task.task };
    const manifest = await readManifest(objects, task);
    if (typeof manifest === "string") findings.push({ check: "manifests", ...where, what: manifest });
    else {
      const problems = [...compareWithTask(manifest, task), ...(await compareWithObjects(objects, manifest, demanded))];
      findings.push(...problems.map((what): Finding => ({ check: "manifests", ...where, what })));
    }
    const wrongLog = await judgeLog(stack, task, demanded, patience);
    if (wrongLog !== undefined) findings.push({ check: "logs", ...where, what: wrongLog });
  }
  return findings;
}

/** How many attempts that did not end their task committed a manifest all the same: too late to count. */
export async function countLateManifests(objects: ObjectStore, record: JobRecord): Promise<number> {
  let late = 0;
  for (const task of record.tasks) {
    for (const { attempt, outcome } of task.attempts.slice(0, -1)) {
      const lost = outcome?.reason?.code === "worker_lost";
      if (!lost) continue;
      if ((await objects.size(manifestKey(task.job, task.task, attempt))) !== undefined) late += 1;
    }
  }
  return late;
}

async function readManifest(objects: ObjectStore, { job, task, attempt }: Task): Promise<Manifest | string> {
  const { objects: listed } = await objects.list(attemptPrefix(job, task, attempt));
  const manifests = listed.filter(({ key }) => key.endsWith("/result.json"));
  if (manifests.length !== 1) return `attempt ${attempt} has ${manifests.length} manifests`;
  const stored = await objects.get(manifestKey(job, task, attempt));
  const parsed = manifestSchema.safeParse(JSON.parse(Buffer.from(stored ?? []).toString("utf8") || "null"));
  return parsed.success ? parsed.data : `the manifest of attempt ${attempt} is none: ${parsed.error.message}`;
}

function compareWithTask(manifest: Manifest, task: Task): string[] {
  const last = task.attempts.at(-1);
  const problems: string[] = [];
  if (manifest.outcome.state !== task.status || manifest.outcome.exitCode !== task.exitCode) {
    const { state, exitCode } = manifest.outcome;
    problems.push(`the manifest says ${state} ${exitCode}, the task ${task.status} ${task.exitCode}`);
  }
  if (manifest.workerId !== last?.workerId) {
    problems.push(`the manifest is of ${manifest.workerId}, the attempt of ${last?.workerId}`);
  }
  return problems;
}

async function compareWithObjects(objects: ObjectStore, manifest: Manifest, demanded: PlannedTask): Promise<string[]> {
  const problems: string[] = [];
  if (demanded.outputBytes > 0 && manifest.artifacts.length !== 1) {
    problems.push(`left ${demanded.outputBytes} bytes, and its manifest names ${manifest.artifacts.length} artifacts`);
  }
  for (const { key, size, sha256 } of manifest.artifacts) {
    const stored = await objects.get(key);
    const hash = createHash("sha256")
      .update(stored ?? "")
      .digest("hex");
    if (stored?.length !== size || hash !== sha256) {
      problems.push(`${key} has ${stored?.length ?? "no"} bytes, sha256 ${hash}; its manifest says ${size}, ${sha256}`);
    }
  }
  for (const { key, size, sha256 } of manifest.metrics ?? []) {
    const text = zstdDecompressSync((await objects.get(key)) ?? zstdCompressSync(""));
    if (text.length !== size || createHash("sha256").update(text).digest("hex") !== sha256) {
      problems.push(`${key} is not the snapshot of ${size} bytes that its manifest names`);
    }
  }
  const { objects: listed } = await objects.list(attemptPrefix(manifest.jobId, manifest.task, manifest.attempt));
  // Joined chunks repeat others.
  const chunks = listed.filter(({ key }) => key.includes("/logs/") && !key.includes("+")).length;
  const named = manifest.logs.reduce((sum, log) => sum + log.chunks, 0);
  if (chunks !== named) problems.push(`there are ${chunks} chunks of its log, its manifest says ${named}`);
  return problems;
}

async function judgeLog(
  stack: RunningStack,
  task: Task,
  demanded: PlannedTask,
  patience: Patience,
): Promise<string | undefined> {
  const page = await callPatiently<LogPage>(stack, `/v1/jobs/${task.job}/tasks/${task.task}/logs?limit=1000`, patience);
  const lines = page.lines.map(({ text }) => text);
  const expected = [
    greetingOf(task.task, task.attempt),
    ...Array.from({ length: demanded.lines }, (_, index) => `line ${index + 1}`),
  ];
  if (!page.complete) return "its log is not said to be complete";
  const wrong = expected.findIndex((line, index) => lines[index] !== line);
  if (wrong < 0 && lines.length === expected.length) return undefined;
  return `its log has ${lines.length} lines of ${expected.length}; the first wrong one: ${lines[wrong] ?? "none"}`;
}
