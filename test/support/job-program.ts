import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect } from "vitest";
import type { Deps } from "../../functions/deps.ts";
import { cancelJob, cancelTask } from "../../functions/operations/cancel.ts";
import { workOnChore } from "../../functions/operations/chores.ts";
import { claimTasks } from "../../functions/operations/claim.ts";
import { settleDeadLetter } from "../../functions/operations/dead-letter.ts";
import { acceptHeartbeat } from "../../functions/operations/heartbeat.ts";
import { reportResult } from "../../functions/operations/report.ts";
import { retryTasks } from "../../functions/operations/retry.ts";
import { submitJob } from "../../functions/operations/submit.ts";
import { sweepDue } from "../../functions/schedules/sweep.ts";
import type { ClaimedTask, TaskClaimRequest } from "../../shared/api/worker-schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import type { AttemptOutcome } from "../../shared/domain/manifest.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { timing } from "../../shared/domain/timing.ts";
import { jobSpecSchema } from "../../shared/jobfile/job-spec.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { TaskAddress } from "../../shared/repository/move-task.ts";
import { readTaskImage } from "../../shared/repository/stream-images.ts";
import { type ControlPlane, createControlPlane, type EmbeddedCloud, noopJob, taskNames } from "./control-plane.ts";
import { type ReportedResult, released } from "./control-plane-worker.ts";
import { type Crash, Interleaver } from "./interleave.ts";
import { auditJob, readJobRecords } from "./job-audit.ts";

/** What one process of the system does. Numbers choose among what there is at that moment. */
const operationArbitrary = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("claim"), tasks: fc.array(fc.nat(9), { minLength: 1, maxLength: 3 }) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("report"), attempt: fc.nat(30), result: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("beat"), attempts: fc.array(fc.nat(30), { maxLength: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("commit"), attempt: fc.nat(30), result: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel task"), task: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel job") }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("fold"),
      by: fc.nat(1),
      images: fc.array(fc.nat(60), { minLength: 1, maxLength: 8 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("chore"), kind: fc.constantFrom("cancel", "advance", "advance", "retry") }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("retry"),
      tasks: fc.option(fc.array(fc.nat(9), { minLength: 1, maxLength: 3 }), { nil: undefined }),
      key: fc.option(fc.nat(2), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sweep") }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("dead letter"), task: fc.nat(9), rev: fc.integer({ min: 1, max: 6 }) }),
  },
);
type Operation = typeof operationArbitrary extends fc.Arbitrary<infer T> ? T : never;

const crashArbitrary: fc.Arbitrary<Crash | undefined> = fc.option(
  fc.record({ atRequest: fc.nat(6), place: fc.constantFrom("before", "after") }),
  { nil: undefined, freq: 2 },
);

/** What moves many tasks at once: rare among all operations, and only interesting side by side. */
const wholeJobArbitrary: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ do: fc.constant("chore"), kind: fc.constantFrom("advance", "advance", "retry", "cancel") }),
  fc.record({
    do: fc.constant("retry"),
    tasks: fc.constantFrom<number[] | undefined>(undefined, [0], [1]),
    key: fc.constant(undefined),
  }),
  fc.record({ do: fc.constant("cancel job") }),
  fc.record({ do: fc.constant("sweep") }),
  fc.record({ do: fc.constant("fold"), by: fc.nat(1), images: fc.constant<number[]>([0, 1, 2, 3, 4, 5, 6, 7]) }),
);

/** Stays with the process that asked last: its next request is the last that waits. */
const stay = -1;

/**
 * Whose request goes next: anybody's, or mostly the same process's, so that one may do a great deal between two requests
 * of another.
 */
const choicesArbitrary = fc.oneof(
  fc.array(fc.nat(7), { maxLength: 40 }),
  fc.array(fc.oneof({ weight: 10, arbitrary: fc.constant(stay) }, { weight: 1, arbitrary: fc.nat(7) }), {
    minLength: 20,
    maxLength: 80,
    size: "max",
  }),
);

/** Processes that run side by side, in which order their requests go, and how much time passes afterwards. */
const roundArbitrary = fc.record({
  works: fc.oneof(
    fc.array(fc.record({ operation: operationArbitrary, crash: crashArbitrary }), { minLength: 1, maxLength: 5 }),
    fc.array(fc.record({ operation: wholeJobArbitrary, crash: crashArbitrary }), { minLength: 2, maxLength: 4 }),
  ),
  choices: choicesArbitrary,
  passMs: fc.constantFrom(0, 0, 3_000, timing.leaseMs + 1, 90_000),
  /** Whether the job comes to rest after this round, to be looked at: while its workers live, or after they died. */
  rest: fc.constantFrom("no", "no", "no", "no", "no", "workers live", "workers died"),
});

/** A job and what happens to it. */
export const programArbitrary = fc.record({
  tasks: fc.integer({ min: 1, max: 4 }),
  /** Which of the tasks before it each task needs, one bit for each. */
  needs: fc.array(fc.constantFrom(0, 1, 1, 2, 3, 4, 5, 6, 7), { minLength: 4, maxLength: 4 }),
  retry: fc.option(fc.record({ attempts: fc.integer({ min: 1, max: 3 }) }), { nil: undefined }),
  abort: fc.constantFrom("never", "on-failure", "on-error"),
  timeoutMs: fc.option(fc.constantFrom(60_000, 300_000), { nil: undefined }),
  submitCrash: crashArbitrary,
  /** Results of tasks that have run and been counted before the first round, so that there is something to retry. */
  before: fc.array(fc.constantFrom(0, 0, 1, 1, 1, 2, 3), { maxLength: 3 }),
  rounds: fc.array(roundArbitrary, { minLength: 1, maxLength: 12 }),
});
type Program = typeof programArbitrary extends fc.Arbitrary<infer T> ? T : never;

const byInfrastructure: AttemptOutcome = { state: "failed", reason: reasonFor("image_unavailable", "no registry") };
/** Results by their number; `undefined` gives the attempt back. What goes on is the more interesting, so it is likelier. */
const outcomes: readonly (AttemptOutcome | undefined)[] = [
  { state: "completed", exitCode: 0 },
  { state: "failed", exitCode: 7, reason: reasonFor("exit_code", "exited with 7") },
  { state: "failed", exitCode: 42, warning: true, reason: reasonFor("exit_code", "exited with 42") },
  { state: "timed_out", reason: reasonFor("timed_out", "took too long") },
  { state: "aborted", reason: reasonFor("cancelled", "as asked") },
  byInfrastructure,
  byInfrastructure,
  undefined,
  undefined,
  undefined,
];

/** Runs a program on a control plane of its own and audits the job whenever it rests, and when it has ended. */
export async function runProgram(cloud: EmbeddedCloud, program: Program): Promise<void> {
  const plane = await createControlPlane(cloud);
  try {
    const run = new ProgramRun(plane, program);
    await run.submit();
    await run.prepare();
    for (const round of program.rounds) await run.playRound(round);
    await run.finish();
  } finally {
    plane.close();
  }
}

class ProgramRun {
  readonly #plane: ControlPlane;
  readonly #program: Program;
  readonly #interleaver = new Interleaver();
  /** The API's process, and two that fold; each remembers things until it dies. */
  readonly #processes: [Deps, Deps, Deps];
  readonly #attempts: ClaimedTask[] = [];
  /** Until when each attempt is known to hold its lease; what a dying process did not tell is not known. */
  readonly #heldUntilMs = new Map<string, number>();
  readonly #claimedAtMs = new Map<string, number>();
  /** Attempts that somebody began to report: they may be over, whatever a heartbeat said a moment before. */
  readonly #reported = new Set<string>();
  readonly #images: TaskItem[] = [];
  #jobId = "";

  constructor(plane: ControlPlane, program: Program) {
    this.#plane = plane;
    this.#program = program;
    this.#processes = [plane.startProcess(), plane.startProcess(), plane.startProcess()];
    plane.requests.intercept(this.#interleaver.intercept);
  }

  /** Submits until an answer comes back, as a client does: with one key, so that there is one job. */
  async submit(): Promise<void> {
    const { tasks, abort, timeoutMs, retry, submitCrash } = this.#program;
    const names = taskNames(tasks);
    const graph = names.map((name, index) => {
      const mask = index === 0 ? 0 : (this.#program.needs[index] ?? 0);
      return { name, needs: names.slice(0, index).filter((_, bit) => (mask >> bit) % 2 === 1) };
    });
    const change = { abort, tasks: graph, ...(timeoutMs ? { timeoutMs } : {}), ...(retry ? { retry } : {}) };
    const spec = jobSpecSchema.parse(noopJob([], change));
    const submission = { spec, submittedBy: "tester", idempotencyKey: "key" };
    for (let crash = submitCrash; this.#jobId === ""; crash = undefined) {
      const work = async () => {
        this.#jobId = (await submitJob(this.#processes[0], submission)).jobId;
      };
      const [died] = await this.#interleaver.run([{ work, crash }], () => 0);
      if (died) this.#jobId = "";
    }
    expect((await this.#plane.deps.jobs.list({ limit: 10 })).jobs).toHaveLength(1);
  }

  /** Runs tasks one after the other, with nothing in their way but that nobody moves the graph on. */
  async prepare(): Promise<void> {
    const [process] = this.#processes;
    for (const result of this.#program.before) {
      const { tasks } = await process.tasks.list(
        { jobId: this.#jobId, bucketCount: 1 },
        { limit: 10, state: "queued" },
      );
      const [claim] = await claimTasks(process, "w-first", tasks.slice(0, 1).map(toClaim));
      if (claim?.status !== "claimed") return;
      this.#noteClaim(claim, process.now());
      await this.#report(process, claim, outcomes[result]);
      await this.#takeImages();
      await process.fold.foldTasks(this.#jobId, this.#images);
    }
  }

  async #takeImages(): Promise<void> {
    for (const record of await this.#plane.stream.readNew()) {
      const image = readTaskImage(record.dynamodb?.NewImage);
      if (image?.unfolded) this.#images.push(image);
    }
  }

  async playRound(round: Program["rounds"][number]): Promise<void> {
    const choices = round.choices.values();
    const works = round.works.map(({ operation, crash }) => {
      const slot = operation.do === "fold" ? 1 + operation.by : 0;
      return { slot, crash, work: () => this.#perform(operation, this.#processes[slot] ?? this.#processes[0]) };
    });
    const choose = (waiting: number) => {
      const choice = choices.next().value ?? 0;
      return choice === stay ? Math.max(0, waiting - 1) : choice % Math.max(1, waiting);
    };
    const died = await this.#interleaver.run(works, choose);
    for (const [index, { slot }] of works.entries()) {
      if (died[index]) this.#processes[slot] = this.#plane.startProcess();
    }
    await this.#takeImages();
    this.#plane.clock.advance(round.passMs);
    if (round.rest !== "no") await this.rest(round.rest === "workers live");
  }

  /**
   * Lets the sweep find all that was missed, and audits. Nothing else helps: every trigger counts as lost. Workers that
   * are known to hold a lease may go on renewing it meanwhile.
   */
  async rest(workersLive: boolean): Promise<void> {
    const process = this.#plane.startProcess();
    for (let rounds = 0; ; rounds++) {
      if (rounds > 30) throw new Error("the sweep finds no end");
      for (let beats = 0; beats < 5; beats++) {
        this.#plane.clock.advance(timing.leaseMs - 1_000);
        if (workersLive) await this.#renewHeld(process);
      }
      const report = await sweepDue(process, Number.POSITIVE_INFINITY);
      expect(report.failed).toBe(0);
      if (Object.values(report).every((count) => count === 0)) break;
    }
    auditJob(await readJobRecords(this.#plane, this.#jobId));
  }

  async #renewHeld(deps: Deps): Promise<void> {
    for (const attempt of this.#attempts) {
      const heldMs = this.#heldUntilMs.get(attempt.attemptId) ?? 0;
      if (heldMs < deps.now()) continue;
      const move = await deps.tasks.renewLease({ ...attempt, bucket: 0 }, attempt.leaseToken, deps.now());
      // The control plane itself ends what a worker should have ended long ago.
      if (!move.moved && this.#mayBeOverdue(attempt, deps.now())) this.#heldUntilMs.delete(attempt.attemptId);
      else {
        expect(move.moved, "a lease that was held is renewed").toBe(true);
        this.#heldUntilMs.set(attempt.attemptId, deps.now() + timing.leaseMs);
      }
    }
  }

  /** No attempt is overdue sooner, whatever it was told. */
  #mayBeOverdue({ attemptId }: ClaimedTask, nowMs: number): boolean {
    return nowMs - (this.#claimedAtMs.get(attemptId) ?? 0) >= timing.overdueMs;
  }

  /** Lets workers end what is left, audits, and shows that nothing that comes late changes anything. */
  async finish(): Promise<void> {
    const process = this.#plane.startProcess();
    for (let rounds = 0; ; rounds++) {
      if (rounds > 30) throw new Error("the job does not end");
      await this.rest(rounds === 0);
      const { digest, tasks } = await readJobRecords(this.#plane, this.#jobId);
      if (isTerminalJobState(digest.state)) break;
      for (const { task, bucket } of tasks.filter(({ state }) => !isTerminalTaskState(state))) {
        const [claim] = await claimTasks(process, "w-last", [toClaim({ jobId: this.#jobId, bucket, task })]);
        if (claim?.status === "claimed") await this.#report(process, claim, { state: "completed" });
      }
    }
    const before = await readJobRecords(this.#plane, this.#jobId);
    await process.fold.foldTasks(this.#jobId, this.#images);
    for (const attempt of this.#attempts) await this.#report(process, attempt, { state: "failed" });
    expect(await readJobRecords(this.#plane, this.#jobId)).toEqual(before);
  }

  async #perform(operation: Operation, deps: Deps): Promise<void> {
    const names = taskNames(this.#program.tasks);
    const pick = <T>(items: readonly T[], index: number): T | undefined => items[index % Math.max(1, items.length)];
    const address = (index: number) => ({ jobId: this.#jobId, bucket: 0, task: pick(names, index) ?? "" });
    switch (operation.do) {
      case "claim": {
        const requests = operation.tasks.map((task) => toClaim(address(task)));
        const claims = await claimTasks(deps, `w-${this.#attempts.length}`, requests);
        for (const claim of claims) if (claim.status === "claimed") this.#noteClaim(claim, deps.now());
        return;
      }
      case "report": {
        const attempt = pick(this.#attempts, operation.attempt);
        if (attempt) await this.#report(deps, attempt, outcomes[operation.result]);
        return;
      }
      case "beat": {
        const attempts = operation.attempts.flatMap((index) => pick(this.#attempts, index) ?? []);
        const beat = { state: "alive" as const, slotsFree: 0, attempts };
        const description = {
          pool: "default",
          slots: 1,
          provider: "local" as const,
          host: "",
          version: "",
          processSteps: true,
        };
        await deps.workers.register({ workerId: "w-beating", ...description }, deps.now());
        const answer = await acceptHeartbeat(deps, "w-beating", beat);
        for (const { attemptId, lease } of answer.attempts) {
          if (lease === "renewed" && !this.#reported.has(attemptId))
            this.#heldUntilMs.set(attemptId, deps.now() + timing.leaseMs);
        }
        return;
      }
      case "commit": {
        const attempt = pick(this.#attempts, operation.attempt);
        if (attempt) await this.#commit(deps, attempt, outcomes[operation.result] ?? byInfrastructure);
        return;
      }
      case "cancel task": {
        const { bucket, task } = address(operation.task);
        const item = await deps.tasks.get(this.#jobId, bucket, task);
        const at = new Date(deps.now()).toISOString();
        if (item) await cancelTask(deps, item, { cause: "user", detail: "cancelled by tester", at });
        return;
      }
      case "cancel job":
        await cancelJob(deps, this.#jobId, { cause: "user", detail: "cancelled by tester" });
        return;
      case "fold":
        await deps.fold.foldTasks(
          this.#jobId,
          operation.images.flatMap((index) => pick(this.#images, index) ?? []),
        );
        return;
      case "chore":
        return workOnChore(deps, this.#jobId, operation.kind, Number.POSITIVE_INFINITY);
      case "retry":
        return this.#retry(deps, names, operation);
      case "dead letter":
        return this.#deadLetter(deps, address(operation.task), operation.rev);
      case "sweep":
        await sweepDue(deps, Number.POSITIVE_INFINITY);
        return;
    }
  }

  /** A message that was sent when its task had that revision is found to have been received too often. */
  async #deadLetter(deps: Deps, address: { jobId: string; bucket: number; task: string }, rev: number): Promise<void> {
    const pool = deps.pools.get("default");
    if (!pool) throw new Error("there is no pool");
    const body = JSON.stringify({ v: 1, ...address, slots: 1, rev });
    const times = { sentAtMs: deps.now(), firstReceivedAtMs: deps.now() };
    const letter = { messageId: `${address.task}-${rev}`, body, receiveCount: 21, ...times };
    const before = await deps.tasks.get(address.jobId, address.bucket, address.task);
    const fate = await settleDeadLetter(deps, pool, letter);
    if (before && before.rev > rev) expect(fate, "a task that has moved since").not.toBe("failed");
  }

  /** What is refused is refused: the operations come at random. */
  async #retry(
    deps: Deps,
    names: readonly string[],
    { tasks, key }: Extract<Operation, { do: "retry" }>,
  ): Promise<void> {
    const named = tasks && { tasks: tasks.map((index) => names[index % names.length] ?? "") };
    const once = key === undefined ? {} : { idempotencyKey: `retry-${key}` };
    try {
      await retryTasks(deps, { jobId: this.#jobId, by: "tester", ...named, ...once });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
    }
  }

  /** A claim that is granted takes the task from nobody who is known to hold it. */
  #noteClaim(claim: ClaimedTask, nowMs: number): void {
    for (const attempt of this.#attempts.filter(({ task }) => task === claim.task)) {
      expect(attempt.attempt, "two claims of one attempt").not.toBe(claim.attempt);
      const heldMs = this.#heldUntilMs.get(attempt.attemptId) ?? 0;
      if (attempt.attempt < claim.attempt && !this.#mayBeOverdue(attempt, nowMs))
        expect(heldMs, "a lease that was taken away").toBeLessThanOrEqual(nowMs);
    }
    this.#attempts.push(claim);
    this.#claimedAtMs.set(claim.attemptId, nowMs);
    this.#heldUntilMs.set(claim.attemptId, nowMs + timing.leaseMs);
  }

  /** Reports an outcome, or gives the attempt back where there is none. What is accepted has ended the task. */
  async #report(deps: Deps, attempt: ClaimedTask, outcome: AttemptOutcome | undefined): Promise<void> {
    const { attemptId, leaseToken, jobId, task } = attempt;
    const result: ReportedResult = outcome
      ? { kind: "ended", outcome, steps: [], logs: [], artifacts: [] }
      : released();
    this.#reported.add(attemptId);
    this.#heldUntilMs.delete(attemptId);
    const answer = await reportResult(deps, attemptId, { leaseToken, result });
    if (answer.status !== "accepted") return;
    const item = await deps.tasks.get(jobId, 0, task);
    const record = item?.attempts[attempt.attempt - 1];
    expect(record?.leaseToken).toBe(leaseToken);
    expect(record?.endedAt, "an accepted result").toBeDefined();
    const isOver = item && (isTerminalTaskState(item.state) || item.retriedSeq !== undefined);
    expect(isOver, "its task has ended, or was retried since").toBe(true);
  }

  async #commit(deps: Deps, { jobId, task, attempt }: ClaimedTask, outcome: AttemptOutcome): Promise<void> {
    const at = new Date(deps.now()).toISOString();
    const manifest = { v: 1, jobId, task, attempt, workerId: "w", outcome, startedAt: at, endedAt: at };
    const body = JSON.stringify({ ...manifest, steps: [], logs: [], artifacts: [] });
    await deps.objects.putIfAbsent(manifestKey(jobId, task, attempt), body, "application/json");
  }
}

/** A worker's claim of a task, with a lease token of its own. */
function toClaim({ jobId, bucket, task }: TaskAddress): TaskClaimRequest {
  return { jobId, bucket, task, leaseToken: randomUUID() };
}
