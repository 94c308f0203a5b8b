import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterEach, expect } from "vitest";
import type { Job, SubmittedJob } from "../../../shared/api/schemas.ts";
import { isTerminalJobState } from "../../../shared/domain/job-state.ts";
import type { JobSpecInput } from "../../../shared/jobfile/job-spec.ts";
import { eventually } from "../eventually.ts";
import { type RunningStack, type StackStart, startLocalStack } from "../local-stack.ts";
import { judgeObjects, openBucket } from "./bucket-checks.ts";
import { findWorkerId } from "./fault-injector.ts";
import { callPatiently, type JobRecord, listWorkers, readJobRecord } from "./patient-api.ts";
import {
  FamilyRecord,
  findByRole,
  listProcesses,
  type ProcessEntry,
  type StackRole,
  signalProcess,
} from "./processes.ts";
import { judgeRemains, removeByForce } from "./remains.ts";
import { type Finding, judgeJob, tellStory } from "./verdict.ts";
import type { PlannedJob, PlannedTask } from "./workload.ts";

const patience = { deadlineMs: 60_000 };
const familyLookMs = 250;
const jobDeadlineMs = 150_000;

/** A local stack of one test, with what fault tests do to one. */
export class FaultStack {
  readonly stack: RunningStack;
  readonly family: FamilyRecord;
  readonly #docker: Docker;
  readonly #workerIds = new Set<string>();

  constructor(stack: RunningStack, docker: Docker) {
    this.stack = stack;
    this.#docker = docker;
    this.family = new FamilyRecord(stack.pid);
    this.family.start(familyLookMs);
  }

  async submit(plan: PlannedJob): Promise<string> {
    const send = { body: { spec: plan.spec }, idempotencyKey: plan.key };
    return (await callPatiently<SubmittedJob>(this.stack, "/v1/jobs", patience, send)).job;
  }

  read<T>(path: string): Promise<T> {
    return callPatiently<T>(this.stack, path, patience);
  }

  async waitForEnd(jobId: string): Promise<Job> {
    const ended = async () => {
      const job = await this.read<Job>(`/v1/jobs/${jobId}`);
      return isTerminalJobState(job.status) ? job : undefined;
    };
    return eventually(ended, `the end of ${jobId}`, jobDeadlineMs);
  }

  readRecord(jobId: string): Promise<JobRecord> {
    return readJobRecord(this.stack, jobId, patience);
  }

  /** Waits for the end of a job and fails with the stories of its tasks where anything about it is wrong. */
  async expectSound(plan: PlannedJob, jobId: string): Promise<JobRecord> {
    await this.waitForEnd(jobId);
    const record = await this.readRecord(jobId);
    const bucket = openBucket(this.stack);
    try {
      const findings: Finding[] = judgeJob(plan, record);
      findings.push(...(await judgeObjects(this.stack, bucket.objects, { plan, record }, patience)));
      const stories = plan.tasks.flatMap(({ name }) => tellStory(record, name));
      expect(findings, stories.join("\n")).toEqual([]);
    } finally {
      bucket.close();
    }
    return record;
  }

  async findWorker(workerId: string): Promise<ProcessEntry> {
    for (const entry of findByRole(this.stack.pid, "worker")) {
      if ((await findWorkerId(this.stack.dataDir, entry)) === workerId) return entry;
    }
    throw new Error(`worker ${workerId} does not run`);
  }

  async signalWorker(workerId: string, signal: NodeJS.Signals): Promise<ProcessEntry> {
    const worker = await this.findWorker(workerId);
    signalProcess(worker.pid, signal);
    return worker;
  }

  async waitUntilGone({ pid, startTicks }: ProcessEntry): Promise<void> {
    const isGone = () => !listProcesses().some((entry) => entry.pid === pid && entry.startTicks === startTicks);
    await eventually(isGone, `the end of process ${pid}`);
  }

  /** Kills the process of a role and waits until there is another. */
  async killAndAwaitNext(role: StackRole): Promise<void> {
    const [dead] = findByRole(this.stack.pid, role);
    if (!dead) throw new Error(`the stack has no ${role}`);
    signalProcess(dead.pid, "SIGKILL");
    await eventually(async () => {
      const [next] = findByRole(this.stack.pid, role);
      return next && next.pid !== dead.pid;
    }, `another ${role}`);
  }

  /** Stops the stack and tells what is wrong with its end. */
  async end(): Promise<Finding[]> {
    for (const entry of findByRole(this.stack.pid, "worker")) signalProcess(entry.pid, "SIGCONT");
    const workers = await listWorkers(this.stack, patience);
    for (const { workerId } of workers) this.#workerIds.add(workerId);
    const traces = {
      dataDir: this.stack.dataDir,
      family: this.family,
      workerIds: [...this.#workerIds],
      docker: this.#docker,
    };
    try {
      const code = await this.stack.stop();
      const findings: Finding[] = code === 0 ? [] : [{ check: "stack", what: `it stopped with code ${code}` }];
      return [...findings, ...(await judgeRemains(traces))];
    } finally {
      this.family.stop();
      await removeByForce(traces);
    }
  }
}

/** Stacks for the tests of a file; after each test its stacks are stopped, and nothing of them may be left. */
export function useFaultStacks(): (start?: StackStart, docker?: Docker) => Promise<FaultStack> {
  const open: { faultStack: FaultStack; folder: string }[] = [];
  afterEach(async ({ task }) => {
    for (const { faultStack, folder } of open.splice(0)) {
      const findings = await faultStack.end();
      // Logs and data of a failure are worth a look: KEEP_FAILED=1 leaves them.
      const isFailed = findings.length > 0 || task.result?.state === "fail";
      const kept = process.env.KEEP_FAILED !== undefined && isFailed;
      if (kept) process.stderr.write(`${task.name}: its data is in ${folder}\n`);
      else await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      expect(findings).toEqual([]);
    }
  });
  return async (start = {}, docker = new Docker()) => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-fault-"));
    const faultStack = new FaultStack(await startLocalStack({ dataDir: join(folder, "data"), ...start }), docker);
    open.push({ faultStack, folder });
    return faultStack;
  };
}

/** What tasks print first, as the check of their logs wants it. */
export const greet = 'echo "attempt $SLUICE_ATTEMPT of $SLUICE_TASK"';

/** A job of tasks that all have to complete, whatever happens to their first attempts. */
export function planCompleting(name: string, steps: JobSpecInput["steps"], taskNames: readonly string[]): PlannedJob {
  const tasks = taskNames.map((task): PlannedTask => {
    return { name: task, exitCode: 0, lines: 0, outputBytes: 0, demanded: { state: "completed", exitCode: 0 } };
  });
  return {
    key: `${name}-${crypto.randomUUID()}`,
    spec: { name, steps, tasks: tasks.map(({ name }) => ({ name })) },
    tasks,
  };
}
