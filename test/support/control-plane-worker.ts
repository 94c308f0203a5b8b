import { randomUUID } from "node:crypto";
import type {
  AttemptResult,
  ClaimAnswer,
  ClaimedTask,
  Heartbeat,
  HeartbeatAnswer,
  ResultAnswer,
  TaskClaimRequest,
} from "../../shared/api/worker-schemas.ts";
import type { ReceivedMessage } from "../../shared/clients/queue.ts";
import { newWorkerId } from "../../shared/domain/ids.ts";
import type { AttemptOutcome } from "../../shared/domain/manifest.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { type TaskMessage, taskMessageSchema } from "../../shared/domain/task-message.ts";
import type { ControlPlane } from "./control-plane.ts";

type Claim = ClaimAnswer["claims"][number];
export type ReportedResult = AttemptResult["result"];

/** A message with the task it names. */
export interface TaskDelivery {
  message: ReceivedMessage;
  task: TaskMessage;
}

/** A worker that runs nothing: it speaks to the queue and the API as a worker does, one call at a time. */
export interface FakeWorker {
  workerId: string;
  register(): Promise<void>;
  receive(maxMessages?: number): Promise<TaskDelivery[]>;
  claim(tasks: readonly (Omit<TaskClaimRequest, "leaseToken"> & { leaseToken?: string })[]): Promise<Claim[]>;
  /** `more`: what a heartbeat tells beside; its number is given unless it is there. */
  beat(
    attempts?: readonly ClaimedTask[],
    state?: Heartbeat["state"],
    more?: Partial<Heartbeat>,
  ): Promise<HeartbeatAnswer>;
  report(claimed: Pick<ClaimedTask, "attemptId" | "leaseToken">, result: ReportedResult): Promise<ResultAnswer>;
  /** Takes messages until the queue is empty, and ends each task; answers how many it ran. */
  runAll(decide?: (claimed: ClaimedTask) => ReportedResult): Promise<number>;
  /** Receives and claims one task; fails where there is none. */
  claimOne(): Promise<ClaimedTask>;
}

export function createFakeWorker(controlPlane: ControlPlane, pool = "default"): FakeWorker {
  const workerId = newWorkerId(controlPlane.clock.now());
  const post = <T>(path: string, body: unknown) => controlPlane.call<T>(path, { body, role: "worker" });
  const queue = () => {
    const found = controlPlane.deps.pools.get(pool)?.queue;
    if (!found) throw new Error(`there is no pool ${pool}`);
    return found;
  };
  let beats = 0;
  const worker: FakeWorker = {
    workerId,
    async register() {
      const description = { pool, slots: 4, provider: "local", host: "here", version: "0", processSteps: true };
      await post("/v1/workers", { workerId, ...description });
    },
    async receive(maxMessages = 10) {
      const messages = await queue().receive({ maxMessages, waitSeconds: 0 });
      return messages.map((message) => ({ message, task: taskMessageSchema.parse(JSON.parse(message.body)) }));
    },
    async claim(tasks) {
      const claims = tasks.map(({ jobId, task, bucket, leaseToken = randomUUID() }) => ({
        jobId,
        task,
        bucket,
        leaseToken,
      }));
      return (await post<ClaimAnswer>(`/v1/workers/${workerId}/claims`, { claims })).claims;
    },
    beat: (attempts = [], state = "alive", more = {}) =>
      post(`/v1/workers/${workerId}/heartbeat`, {
        state,
        slotsFree: 0,
        attempts: attempts.map(({ attemptId, leaseToken }) => ({ attemptId, leaseToken })),
        number: ++beats,
        ...more,
      }),
    report: ({ attemptId, leaseToken }, result) => post(`/v1/attempts/${attemptId}/result`, { leaseToken, result }),
    async runAll(decide = () => completed()) {
      let ran = 0;
      for (;;) {
        const deliveries = await worker.receive();
        if (deliveries.length === 0) return ran;
        const claims = await worker.claim(deliveries.map(({ task }) => task));
        const done: string[] = [];
        for (const [index, claim] of claims.entries()) {
          const handle = deliveries[index]?.message.receiptHandle ?? "";
          if (claim.status === "claimed") {
            ran += 1;
            const answer = await worker.report(claim, decide(claim));
            if (answer.status === "retry") await queue().changeVisibility([handle], 0);
            else done.push(handle);
          } else if (claim.status === "drop") done.push(handle);
        }
        await queue().delete(done);
      }
    },
    async claimOne() {
      const [delivery] = await worker.receive(1);
      if (!delivery) throw new Error("the queue is empty");
      const [claim] = await worker.claim([delivery.task]);
      if (claim?.status !== "claimed") throw new Error(`not claimed: ${JSON.stringify(claim)}`);
      return claim;
    },
  };
  return worker;
}

/** The result of an attempt that ended, with nothing left behind unless given. */
export function ended(outcome: AttemptOutcome, rest: Partial<ReportedResult> = {}): ReportedResult {
  return { kind: "ended", outcome, steps: [], logs: [], artifacts: [], ...rest } as ReportedResult;
}

export function completed(): ReportedResult {
  return ended({ state: "completed", exitCode: 0 });
}

/** A failure of the user's: exit 42 is a warning, as a worker reports it. */
export function failedWith(exitCode: number): ReportedResult {
  const reason = reasonFor("exit_code", `true exited with ${exitCode}`);
  return ended({ state: "failed", exitCode, ...(exitCode === 42 ? { warning: true } : {}), reason });
}

/** A failure that infrastructure is to blame for. */
export function failedByInfrastructure(): ReportedResult {
  return ended({ state: "failed", reason: reasonFor("image_unavailable", "the registry is away") });
}

export function released(): ReportedResult {
  return { kind: "released", reason: reasonFor("drained", "the worker drains") };
}

/** Runs what is queued, of any job, and folds it; answers the names of the tasks. Those named fail with exit code 7. */
export async function runQueued(plane: ControlPlane, ...failing: string[]): Promise<string[]> {
  const ran: string[] = [];
  await plane.createWorker().runAll(({ task }) => {
    ran.push(task);
    return failing.includes(task) ? failedWith(7) : completed();
  });
  await plane.foldAll();
  return ran.sort();
}

/** Does so until nothing is queued any more; what became queued together is named together. */
export async function runToEnd(plane: ControlPlane, ...failing: string[]): Promise<string[]> {
  const ran: string[] = [];
  for (;;) {
    const round = await runQueued(plane, ...failing);
    if (round.length === 0) return ran;
    ran.push(...round);
  }
}
