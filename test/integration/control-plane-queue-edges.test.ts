import { DeleteCommand } from "@aws-sdk/lib-dynamodb";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../local/sqs/fake-clock.ts";
import type { DeadLetterPage, Job, Task } from "../../shared/api/schemas.ts";
import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import { isOverLimit } from "../../shared/clients/queue.ts";
import { maxReceiveCount, timing } from "../../shared/domain/timing.ts";
import { createLogger } from "../../shared/log.ts";
import { digestKey, specKey, taskKey } from "../../shared/repository/keys.ts";
import { HeldMessages } from "../../workers/intake/held-messages.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { type FakeWorker, failedByInfrastructure, type TaskDelivery } from "../support/control-plane-worker.ts";

const queueClock = new FakeClock();
const inFlightLimit = 5;
const plane = useControlPlane({ sqs: { clock: queueClock, limits: { inFlightStandard: inFlightLimit } } });
const hourMs = 3600_000;
const readTask = (jobId: string) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`);
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);

function queue() {
  const pool = plane().deps.pools.get("default");
  if (!pool) throw new Error("there is no pool");
  return pool.queue;
}

function pass(ms: number): void {
  queueClock.advance(ms);
  plane().clock.advance(ms);
}

async function take(worker: FakeWorker): Promise<{ delivery: TaskDelivery; claimed: ClaimedTask }> {
  const [delivery] = await worker.receive(1);
  if (!delivery) throw new Error("the queue is empty");
  const [claimed] = await worker.claim([delivery.task]);
  if (claimed?.status !== "claimed") throw new Error(`not claimed: ${JSON.stringify(claimed)}`);
  return { delivery, claimed };
}

describe("a message past its retention", () => {
  it("is sent again, for its task still waits", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    pass(timing.messageRetentionSeconds * 1000 + 1);
    expect(await plane().createWorker().receive()).toEqual([]);
    expect(await plane().sweep()).toMatchObject({ dispatched: 1 });
    expect(await plane().createWorker().runAll()).toBe(1);
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "completed" });
  });
});

describe("a task that runs longer than SQS hides a message", () => {
  it("runs on under its lease, lets its message go, and needs none to end", async () => {
    const jobId = await plane().submit({ ...noopJob([]), tasks: [{ name: "a", timeoutMs: 48 * hourMs }] });
    const [worker, other] = [plane().createWorker(), plane().createWorker()];
    await worker.register();
    const { delivery, claimed } = await take(worker);
    await plane().foldAll();
    const lines: { message?: string }[] = [];
    const log = createLogger("test", { destination: { write: (line) => void lines.push(JSON.parse(line)) } });
    // In larger steps than a worker's, or this would take as many calls as twelve hours have.
    const visibilityTimeoutSeconds = 600;
    const nowMs = () => queueClock.now();
    const held = new HeldMessages({ queue: queue(), visibilityTimeoutSeconds, nowMs, log });
    await queue().changeVisibility([delivery.message.receiptHandle], visibilityTimeoutSeconds);
    held.hold([delivery.message]);
    for (let hiddenMs = 0; hiddenMs < 12 * hourMs + 60_000; hiddenMs += 200_000) {
      pass(200_000);
      await held.renewDue();
    }
    await worker.beat([claimed]);
    expect(lines.map(({ message }) => message)).toEqual([
      expect.stringContaining("the queue hides messages no longer"),
    ]);

    // It shows again, and whoever gets it is told to wait: until it was received too often.
    for (let receives = 0; receives < maxReceiveCount; receives++) {
      const [again] = await other.receive();
      if (!again) break;
      expect(await other.claim([again.task])).toMatchObject([{ status: "wait" }]);
      await queue().changeVisibility([again.message.receiptHandle], timing.leaseMs / 1000);
      pass(timing.leaseMs);
      await worker.beat([claimed]);
    }
    expect(await other.receive()).toEqual([]);
    expect(await plane().settleDeadLetters()).toBe(1);
    expect(await readTask(jobId)).toMatchObject({ status: "running", attempt: 1 });
    expect((await plane().call<DeadLetterPage>("/v1/admin/dead-letters?pool=default")).deadLetters).toEqual([]);

    // Its worker gives it back in the end: no message is left for it, so another is sent.
    expect(await worker.report(claimed, failedByInfrastructure())).toMatchObject({ status: "retry" });
    held.release(delivery.message, 1);
    await held.settle();
    await plane().foldAll();
    pass(2 * timing.announceAgainMs);
    expect(await other.receive()).toEqual([]);
    expect(await plane().sweep()).toMatchObject({ dispatched: 1 });
    expect(await other.runAll()).toBe(1);
    expect(await readTask(jobId)).toMatchObject({ status: "completed", attempt: 2 });
  }, 60_000);
});

describe("a retry whose message cannot be put off", () => {
  it("comes by a message of its own, where the receipt was not good any more and the message is gone", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const { delivery, claimed } = await take(worker);
    // Nobody renewed the message: somebody else has received it meanwhile, was told to wait, and lost it.
    pass(timing.visibilityTimeoutSeconds * 1000);
    await worker.beat([claimed]).catch(() => undefined);
    const [again] = await plane().createWorker().receive();
    await queue().delete([again?.message.receiptHandle ?? ""]);
    expect(await worker.report(claimed, failedByInfrastructure())).toEqual({ status: "retry", retryAfterSeconds: 1 });
    expect(await queue().changeVisibility([delivery.message.receiptHandle], 1)).toEqual([
      delivery.message.receiptHandle,
    ]);
    await plane().foldAll();
    pass(timing.announceAgainMs + 1000);
    expect(await plane().sweep()).toMatchObject({ dispatched: 1 });
    expect(await worker.runAll()).toBe(1);
    expect(await readTask(jobId)).toMatchObject({ status: "completed", attempt: 2 });
  });
});

describe("a queue with as many messages in flight as it may have", () => {
  it("gives out no more, says so, and goes on when some are done", async () => {
    await plane().submit(noopJob(taskNames(inFlightLimit + 2)));
    const worker = plane().createWorker();
    const deliveries = await worker.receive();
    expect(deliveries).toHaveLength(inFlightLimit);
    const refusal = await worker.receive().catch((error: unknown) => error);
    expect(isOverLimit(refusal)).toBe(true);
    await queue().delete(deliveries.map(({ message }) => message.receiptHandle));
    expect(await worker.receive()).toHaveLength(2);
  });
});

describe("a message", () => {
  it("is dropped where its job was deleted", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    for (const Key of [digestKey(jobId), specKey(jobId), taskKey(jobId, 0, "a")]) {
      await plane().table.client.send(new DeleteCommand({ TableName: plane().table.name, Key }));
    }
    const worker = plane().createWorker();
    const [delivery] = await worker.receive();
    expect(await worker.claim(delivery ? [delivery.task] : [])).toMatchObject([{ status: "drop" }]);
  });

  it("waits where its task is not there yet, as long as the job's tasks are being created", async () => {
    const jobId = await plane().submit(noopJob(taskNames(300)));
    const claim = () =>
      plane()
        .createWorker()
        .claim([{ jobId, task: "t0300", bucket: 99 }]);
    expect(await claim()).toMatchObject([{ status: "wait" }]);
    await plane().foldAll();
    expect(await claim()).toMatchObject([{ status: "drop" }]);
  });
});
