import { setTimeout as sleep } from "node:timers/promises";
import { GetQueueAttributesCommand, ListQueuesCommand, SQSClient } from "@aws-sdk/client-sqs";
import Docker from "dockerode";
import type { Job, SubmittedJob } from "../../../shared/api/schemas.ts";
import { isTerminalJobState } from "../../../shared/domain/job-state.ts";
import { timing } from "../../../shared/domain/timing.ts";
import { type RunningStack, startLocalStack } from "../local-stack.ts";
import { countLateManifests, judgeObjects, openBucket } from "./bucket-checks.ts";
import { FaultInjector, listFolder, type WorkerDeath } from "./fault-injector.ts";
import { planFaults } from "./fault-plan.ts";
import {
  callPatiently,
  type JobRecord,
  judgeWhys,
  listJobIds,
  listWorkers,
  type Patience,
  readJobRecord,
} from "./patient-api.ts";
import { FamilyRecord, listFamily, listProcesses, signalProcess } from "./processes.ts";
import { pickBetween, type Random, randomFrom } from "./random.ts";
import { judgeRemains, removeByForce, type StackTraces } from "./remains.ts";
import { type Finding, judgeJob, tellStory, wasGivenUp } from "./verdict.ts";
import { type PlannedJob, planEnding, planJob } from "./workload.ts";

/** What a chaos run does. */
export interface ChaosOptions {
  seed: number;
  kills: number;
  /** Workers stopped (SIGSTOP) for longer than their lease. */
  pauses: number;
  /** At least so many tasks; more are submitted as long as there are kills to come. */
  tasks: number;
  /** No kill comes later than this. */
  longestMs: number;
  longestGapMs: number;
  workers: number;
  slots: number;
  /** An empty folder for the stack. */
  dataDir: string;
  /** The image of container steps; without one all steps are host processes. */
  image?: string | undefined;
  /** After the last kill everything has to end within this time. */
  settleMs: number;
  /** Ends the run early: everything is stopped, and the run fails. */
  signal: AbortSignal;
  /** Hears what happens. */
  report: ChaosReport;
}

export interface ChaosReport {
  /** Something happened. */
  event(text: string): void;
  /** How things stand; said again and again. */
  progress(text: string): void;
}

/** What a chaos run came to. */
export interface ChaosVerdict {
  findings: Finding[];
  /** Events and attempts of the tasks that something is wrong with. */
  stories: string[];
  jobs: number;
  tasks: number;
  attempts: number;
  kills: number;
  pauses: number;
  /** Cancels of jobs and of tasks. */
  cancels: number;
  /** Tasks run again after the end of their job, by wish. */
  retries: number;
  /** Tasks that infrastructure failed under to the limit: ended as failed by it, as they should. */
  givenUp: number;
  /** Attempts taken for lost whose worker committed a manifest all the same; it counts for nothing. */
  lateManifests: number;
  /** Time from the kill of a worker to the next attempt of each of its tasks, in milliseconds, sorted. */
  takeoverMs: number[];
}

const stopDeadlineMs = 90_000;
const pollMs = 400;
const familyLookMs = 500;
const tasksPerJob = { low: 5, high: 20 };
const storiesTold = 20;
const longestCancelDelayMs = 30_000;

/** Starts a stack, gives it work, kills its processes at random moments, and judges what came of the work. */
export async function runChaos(options: ChaosOptions): Promise<ChaosVerdict> {
  const { dataDir, workers, slots, report, signal } = options;
  const stack = await startLocalStack({ dataDir, workers, slots });
  const family = new FamilyRecord(stack.pid);
  family.start(familyLookMs);
  report.event(`the stack runs at ${stack.url} with ${workers} workers of ${slots} slots; seed ${options.seed}`);
  const workerIds = new Set<string>();
  const traces = (): StackTraces => ({
    dataDir,
    family,
    workerIds: [...workerIds],
    docker: options.image === undefined ? undefined : new Docker(),
  });
  const run = new ChaosRun(stack, options, workerIds);
  let stopped = false;
  try {
    await run.disturb();
    const verdict = await run.judge();
    stopped = true;
    verdict.findings.push(...(await stopStack(stack)));
    family.stop();
    verdict.findings.push(...(await judgeRemains(traces())));
    return verdict;
  } finally {
    run.injector.resumeNow();
    if (!stopped) {
      report.event(signal.aborted ? "stopping the stack" : "the run broke off; stopping the stack");
      await stopStack(stack);
    }
    family.stop();
    await removeByForce(traces());
  }
}

/** Stops the stack as Ctrl-C does; one that does not end in time is killed. */
async function stopStack(stack: RunningStack): Promise<Finding[]> {
  const [supervisor] = listFamily(listProcesses(), stack.pid);
  if (!supervisor) return [{ check: "stack", what: "its supervisor is gone" }];
  const deadline = new AbortController();
  const tooLate = sleep(stopDeadlineMs, undefined, { signal: deadline.signal }).catch(() => undefined);
  const code = await Promise.race([stack.stop(), tooLate]);
  deadline.abort();
  if (code === undefined) signalProcess(stack.pid, "SIGKILL");
  if (code === 0) return [];
  const what =
    code === undefined ? `it did not stop within ${stopDeadlineMs / 1000} s` : `it stopped with code ${code}`;
  return [{ check: "stack", what }];
}

class ChaosRun {
  readonly injector: FaultInjector;
  readonly #stack: RunningStack;
  readonly #options: ChaosOptions;
  readonly #random: Random;
  readonly #workerIds: Set<string>;
  readonly #startedAtMs = Date.now();
  readonly #jobs: { plan: PlannedJob; jobId: string; last?: Job }[] = [];
  readonly #findings: Finding[] = [];
  readonly #acting = new Set<Promise<void>>();
  readonly #done = { cancels: 0, retries: 0 };
  #killing = true;

  constructor(stack: RunningStack, options: ChaosOptions, workerIds: Set<string>) {
    this.#stack = stack;
    this.#options = options;
    this.#workerIds = workerIds;
    // The plan of the faults and that of the work do not change each other.
    this.#random = randomFrom(options.seed ^ 0x5bd1e995);
    this.injector = new FaultInjector(stack, options.signal);
  }

  /** Submits work and kills processes until both are done and every job has ended, or the time is up. */
  async disturb(): Promise<void> {
    await Promise.all([this.#inflictAll(), this.#keepBusy()]);
  }

  async #inflictAll(): Promise<void> {
    const { kills, pauses, longestGapMs, longestMs, seed, report, signal } = this.#options;
    const faults = planFaults(randomFrom(seed), { kills, pauses, longestGapMs, leaseMs: timing.leaseMs });
    try {
      for (const [index, fault] of faults.entries()) {
        await sleep(fault.gapMs, undefined, { signal });
        if (Date.now() - this.#startedAtMs > longestMs) {
          report.event(`the time for kills is over; ${faults.length - index} are left out`);
          break;
        }
        const what = await this.injector.inflict(fault);
        report.event(`${this.#clock()} ${index + 1}/${faults.length} ${what}`);
      }
      await this.injector.untilResumed();
    } catch (error) {
      signal.throwIfAborted();
      this.#findings.push({ check: "stack", what: error instanceof Error ? error.message : String(error) });
    } finally {
      this.#killing = false;
    }
  }

  async #keepBusy(): Promise<void> {
    const { slots, workers, tasks, report, signal, settleMs } = this.#options;
    // Enough to keep all slots busy while tasks of dead workers wait for their leases to run out.
    const backlog = 5 * slots * workers;
    let settledBy = Number.POSITIVE_INFINITY;
    for (;;) {
      signal.throwIfAborted();
      while (this.#submittedTasks() < tasks || this.#killing) {
        if (this.#openTasks() >= backlog) break;
        await this.#submitJob();
      }
      await this.#look();
      report.progress(`${this.#clock()} ${this.#describeProgress()}`);
      const open = this.#openTasks();
      const isBusy = this.#killing || this.#acting.size > 0;
      if (open === 0 && !isBusy && this.#submittedTasks() >= tasks) return;
      if (isBusy || this.#submittedTasks() < tasks) settledBy = Date.now() + settleMs;
      if (Date.now() > settledBy) {
        report.event(`${open} tasks have not ended ${settleMs / 1000} s after the last kill`);
        return;
      }
      await sleep(pollMs, undefined, { signal });
    }
  }

  async #submitJob(): Promise<void> {
    const { image } = this.#options;
    const count = pickBetween(this.#random, tasksPerJob.low, tasksPerJob.high);
    const planned = planJob(this.#random, this.#jobs.length + 1, count, image);
    const plan = planEnding(this.#random, planned);
    const send = { body: { spec: plan.spec }, idempotencyKey: plan.key };
    const { job } = await callPatiently<SubmittedJob>(this.#stack, "/v1/jobs", this.#patience(), send);
    this.#jobs.push({ plan, jobId: job });
    this.#actLater(plan, job);
  }

  /** Cancels or retries what is to be; a cancel comes at some time from before the job's start until after its end. */
  #actLater({ ending }: PlannedJob, jobId: string): void {
    if (ending === undefined || ending.kind === "job_timeout") return;
    const delayMs = this.#random() ** 2 * longestCancelDelayMs;
    const act = async () => {
      await sleep(delayMs, undefined, { signal: this.#options.signal });
      const task = ending.kind === "cancel_task" ? `/tasks/${ending.task}` : "";
      const path = `/v1/jobs/${jobId}${task}/${ending.kind === "retry" ? "retry" : "cancel"}`;
      const body = ending.kind === "retry" ? { tasks: [ending.task] } : {};
      if (ending.kind === "retry") await this.#untilEnded(jobId);
      await callPatiently(this.#stack, path, this.#patience(), { body, idempotencyKey: `${ending.kind}-${jobId}` });
      this.#done[ending.kind === "retry" ? "retries" : "cancels"] += 1;
    };
    const acting = act()
      .catch((error: unknown) => {
        if (this.#options.signal.aborted) return;
        this.#findings.push({ check: "jobs", jobId, what: `${ending.kind} failed: ${error}` });
      })
      .finally(() => {
        this.#acting.delete(acting);
        // It may run again.
        for (const job of this.#jobs) if (job.jobId === jobId) delete job.last;
      });
    this.#acting.add(acting);
  }

  async #untilEnded(jobId: string): Promise<void> {
    const { settleMs, signal } = this.#options;
    for (const givesUpAt = Date.now() + longestCancelDelayMs + 2 * settleMs; Date.now() < givesUpAt; ) {
      const job = this.#jobs.find((candidate) => candidate.jobId === jobId);
      if (job?.last && isTerminalJobState(job.last.status)) return;
      await sleep(pollMs, undefined, { signal });
    }
    throw new Error("it did not end in time");
  }

  /** Reads the jobs that have not ended; what cannot be read now is read the next time. */
  async #look(): Promise<void> {
    for (const job of this.#jobs) {
      if (job.last && isTerminalJobState(job.last.status)) continue;
      job.last = await callPatiently<Job>(this.#stack, `/v1/jobs/${job.jobId}`, this.#patience());
    }
    for (const name of await listFolder(`${this.#options.dataDir}/work`)) this.#workerIds.add(name);
  }

  #submittedTasks(): number {
    return this.#jobs.reduce((sum, { plan }) => sum + plan.tasks.length, 0);
  }

  #openTasks(): number {
    return this.#jobs.reduce((sum, { plan, last }) => {
      if (!last) return sum + plan.tasks.length;
      return isTerminalJobState(last.status)
        ? sum
        : sum + last.counts.pending + last.counts.queued + last.counts.running;
    }, 0);
  }

  #describeProgress(): string {
    const total = this.#submittedTasks();
    const { kill, pause } = this.injector.done;
    const running = this.#jobs.reduce((sum, { last }) => sum + (last?.counts.running ?? 0), 0);
    return `${total - this.#openTasks()} of ${total} tasks ended, ${running} running; ${kill} kills, ${pause} pauses`;
  }

  #clock(): string {
    return `${((Date.now() - this.#startedAtMs) / 1000).toFixed(1).padStart(6)} s`;
  }

  #patience(): Patience {
    return { deadlineMs: 60_000, signal: this.#options.signal };
  }

  /** Reads everything that is left of the work, and judges it. */
  async judge(): Promise<ChaosVerdict> {
    const patience = this.#patience();
    const findings = [...this.#findings, ...(await this.#waitForEmptyQueues())];
    for (const { workerId } of await listWorkers(this.#stack, patience)) this.#workerIds.add(workerId);
    findings.push(...(await this.#judgeJobList()));
    const records: JobRecord[] = [];
    const bucket = openBucket(this.#stack);
    let lateManifests = 0;
    try {
      for (const { plan, jobId } of this.#jobs) {
        const record = await readJobRecord(this.#stack, jobId, patience);
        records.push(record);
        findings.push(...judgeJob(plan, record));
        findings.push(...(await judgeWhys(this.#stack, record, patience)));
        findings.push(...(await judgeObjects(this.#stack, bucket.objects, { plan, record }, patience)));
        lateManifests += await countLateManifests(bucket.objects, record);
      }
    } finally {
      bucket.close();
    }
    const tasks = records.flatMap((record) => record.tasks);
    return {
      findings,
      stories: tellStories(findings, records),
      jobs: records.length,
      tasks: tasks.length,
      attempts: tasks.reduce((sum, task) => sum + task.attempts.length, 0),
      kills: this.injector.done.kill,
      pauses: this.injector.done.pause,
      ...this.#done,
      givenUp: tasks.filter(wasGivenUp).length,
      lateManifests,
      takeoverMs: measureTakeovers(records, this.injector.deaths),
    };
  }

  /** Each submit was repeated until it was answered; a job that nobody knows of would be one that was created twice. */
  async #judgeJobList(): Promise<Finding[]> {
    const known = new Set(this.#jobs.map(({ jobId }) => jobId));
    const strangers = (await listJobIds(this.#stack, this.#patience())).filter((jobId) => !known.has(jobId));
    return strangers.map((jobId) => ({ check: "jobs", jobId, what: "a submit that was repeated made a second job" }));
  }

  /** A message that a dead worker held shows again after its visibility timeout, and is dropped by whoever gets it. */
  async #waitForEmptyQueues(): Promise<Finding[]> {
    const { aws } = this.#stack;
    const { accessKeyId, secretAccessKey } = aws;
    const sqs = new SQSClient({
      endpoint: aws.sqs,
      region: aws.region,
      credentials: { accessKeyId, secretAccessKey },
    });
    try {
      let left: string[] = [];
      const patienceMs = 2 * timing.visibilityTimeoutSeconds * 1000;
      for (const givesUpAt = Date.now() + patienceMs; Date.now() < givesUpAt; ) {
        left = await listLeftMessages(sqs);
        if (left.length === 0) return [];
        this.#options.report.progress(`${this.#clock()} waiting for the last messages: ${left.join(", ")}`);
        await sleep(pollMs, undefined, { signal: this.#options.signal });
      }
      return left.map((what) => ({ check: "queue", what }));
    } finally {
      sqs.destroy();
    }
  }
}

async function listLeftMessages(sqs: SQSClient): Promise<string[]> {
  const left: string[] = [];
  const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({}));
  for (const QueueUrl of QueueUrls) {
    const { Attributes = {} } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
    const waiting = Number(Attributes.ApproximateNumberOfMessages ?? 0);
    const delayed = Number(Attributes.ApproximateNumberOfMessagesDelayed ?? 0);
    const inFlight = Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0);
    if (waiting + delayed + inFlight === 0) continue;
    left.push(`${QueueUrl.split("/").at(-1)} has ${waiting + delayed} waiting and ${inFlight} in flight`);
  }
  return left;
}

function tellStories(findings: readonly Finding[], records: readonly JobRecord[]): string[] {
  const wrong = new Set(findings.flatMap(({ jobId, task }) => (jobId && task ? [`${jobId}/${task}`] : [])));
  return [...wrong].slice(0, storiesTold).flatMap((name) => {
    const [jobId, task = ""] = name.split("/");
    const record = records.find(({ job }) => job.job === jobId);
    return record ? tellStory(record, task) : [];
  });
}

/** For each attempt that a killed worker ran: how long it took until the next one began. */
function measureTakeovers(records: readonly JobRecord[], deaths: readonly WorkerDeath[]): number[] {
  const diedAtMs = new Map(deaths.map(({ workerId, atMs }) => [workerId, atMs]));
  const times = records.flatMap(({ tasks }) =>
    tasks.flatMap(({ attempts }) =>
      attempts.flatMap((attempt, index) => {
        const next = attempts[index + 1];
        const atMs = diedAtMs.get(attempt.workerId);
        const lost = attempt.outcome?.reason?.code === "worker_lost";
        return next && atMs !== undefined && lost ? [Date.parse(next.claimedAt) - atMs] : [];
      }),
    ),
  );
  return times.sort((a, b) => a - b);
}
