import { describe, expect, it } from "vitest";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed } from "../support/control-plane-worker.ts";

const plane = useControlPlane();

/**
 * Runs a job of tasks that do nothing as a worker does: takes up to ten messages at once, claims them in one call,
 * commits a manifest for each (a task that prints nothing and leaves nothing has no other object), reports, deletes.
 * Triggers fire after each call, as they do on an idle stack.
 */
async function runNoops(tasks: number): Promise<Record<string, number>> {
  const worker = plane().createWorker();
  // Warm: the tokens are known, as they are to a process that has been asked before.
  await plane().submit(noopJob(["warm"]));
  await worker.runAll();
  await plane().foldAll();
  plane().requests.reset();
  await plane().submit(noopJob(taskNames(tasks)));
  await plane().foldAll();
  for (let done = 0; done < tasks; ) {
    const deliveries = await worker.receive();
    const claims = await worker.claim(deliveries.map(({ task }) => task));
    await plane().foldAll();
    for (const claim of claims) {
      if (claim.status !== "claimed") throw new Error(`not claimed: ${JSON.stringify(claim)}`);
      await plane().deps.objects.putIfAbsent(manifestKey(claim.jobId, claim.task, 1), "{}", "application/json");
      await worker.report(claim, completed());
      done += 1;
    }
    await plane()
      .deps.pools.get("default")
      ?.queue.delete(deliveries.map(({ message }) => message.receiptHandle));
    await plane().foldAll();
  }
  return plane().requests.counts();
}

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);

describe("requests to AWS", () => {
  it("are at most 12 for a job of one task that does nothing", async () => {
    const counts = await runNoops(1);
    expect(counts).toEqual({
      "dynamodb.BatchGetItem": 2,
      "dynamodb.TransactWriteItems": 3,
      "dynamodb.UpdateItem": 2,
      "s3.PutObject": 1,
      "sqs.DeleteMessageBatch": 1,
      "sqs.ReceiveMessage": 1,
      "sqs.SendMessageBatch": 1,
    });
    expect(sum(counts)).toBeLessThanOrEqual(12);
  });

  it("are less than 4 a task for a job of a hundred, the worker's manifest included", async () => {
    const counts = await runNoops(100);
    expect(counts).toMatchObject({ "dynamodb.UpdateItem": 200, "s3.PutObject": 101 });
    expect(sum(counts)).toBeLessThanOrEqual(400);
  });
});
