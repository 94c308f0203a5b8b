import type { DynamoDBRecord } from "aws-lambda";
import { describe, expect, it } from "vitest";
import { workOnChores } from "../../functions/consumers/chores.ts";
import { foldRecords } from "../../functions/consumers/fold.ts";
import { workOnChore } from "../../functions/operations/chores.ts";
import { matchesAnyPattern } from "../../local/lambda/event-filter.ts";
import type { Job } from "../../shared/api/schemas.ts";
import { taskListKey } from "../../shared/domain/object-keys.ts";
import { streamConsumers } from "../../shared/infrastructure/table.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";

const plane = useControlPlane();
const minuteMs = 60_000;
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const takeRecords = async (consumer: keyof typeof streamConsumers) =>
  (await plane().stream.readNew()).filter((record) => matchesAnyPattern(streamConsumers[consumer], record));
const choreRecord = (jobId: string, kind: string, sequence: string) =>
  ({
    eventName: "INSERT",
    dynamodb: { SequenceNumber: sequence, Keys: { pk: { S: `JOB#${jobId}` }, sk: { S: `CHORE#${kind}` } } },
  }) as DynamoDBRecord;

describe("the chores consumer", () => {
  it("does the other chores of a batch where one fails, and asks for that one again", async () => {
    const [broken, whole] = [
      await plane().submit(noopJob(taskNames(100))),
      await plane().submit(noopJob(taskNames(100))),
    ];
    await plane().deps.objects.put(taskListKey(broken), "{ half", "application/json");
    const Records = await takeRecords("chores");
    const answer = await workOnChores(plane().deps, { Records }, minuteMs);
    expect(answer.batchItemFailures).toEqual([{ itemIdentifier: Records[0]?.dynamodb?.SequenceNumber }]);
    const { tasks } = await plane().deps.tasks.list({ jobId: whole, bucketCount: 1 }, { limit: 1000 });
    expect(tasks).toHaveLength(100);
  });

  it("passes over a chore of a kind that it does not know", async () => {
    const jobId = await plane().submit(noopJob(taskNames(100)));
    const Records = [choreRecord(jobId, "later", "1"), ...(await takeRecords("chores"))];
    expect(await workOnChores(plane().deps, { Records }, minuteMs)).toEqual({ batchItemFailures: [] });
    expect((await plane().deps.tasks.list({ jobId, bucketCount: 1 }, { limit: 1000 })).tasks).toHaveLength(100);
  });
});

describe("the fold's consumer", () => {
  it("folds the other jobs of a batch where one fails, and asks for that one's first record again", async () => {
    const [broken, whole] = [await plane().submit(noopJob(["a"])), await plane().submit(noopJob(["a"]))];
    await plane().createWorker().runAll();
    const Records = await takeRecords("fold");
    plane().requests.intercept(async ({ operation, input }, send) => {
      if (operation === "TransactWriteItems" && JSON.stringify(input).includes(broken)) throw new Error("no");
      return send();
    });
    const answer = await foldRecords(plane().deps, { Records });
    plane().requests.intercept(undefined);
    const first = Records.find((record) => JSON.stringify(record).includes(broken));
    expect(answer.batchItemFailures).toEqual([{ itemIdentifier: first?.dynamodb?.SequenceNumber }]);
    expect(await readJob(whole)).toMatchObject({ status: "completed" });
    expect(await foldRecords(plane().deps, { Records })).toEqual({ batchItemFailures: [] });
    expect(await readJob(broken)).toMatchObject({ status: "completed" });
  });
});

describe("the end of a cancel", () => {
  it("leaves the chore that was put again meanwhile, for tasks that were created after it passed", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await plane().call(`/v1/jobs/${jobId}/cancel`, { body: {} });
    let putAgain = false;
    plane().requests.intercept(async ({ operation }, send) => {
      if (operation === "DeleteItem" && !putAgain) {
        putAgain = true;
        await plane().deps.jobs.putCancelChore(jobId, plane().clock.now());
      }
      return send();
    });
    await workOnChore(plane().deps, jobId, "cancel", Number.POSITIVE_INFINITY);
    expect(putAgain).toBe(true);
    expect(await plane().deps.jobs.getChore(jobId, "cancel")).toBeDefined();
    await workOnChore(plane().deps, jobId, "cancel", Number.POSITIVE_INFINITY);
    expect(await plane().deps.jobs.getChore(jobId, "cancel")).toBeUndefined();
  });

  it.each([0, 1, 5, 11, 12, 13])(
    "reaches every task of a job cancelled during its expansion, also where that crashes after write %i",
    async (lastWrite) => {
      const jobId = await plane().submit(noopJob(taskNames(96)));
      let writes = -1;
      plane().requests.intercept(async ({ operation, writes: isWrite, input }, send) => {
        const isStep = operation === "TransactWriteItems" && JSON.stringify(input).includes("CHORE#expand");
        if (isStep && writes < 0) {
          // The step is about to be written, and was put together before this cancel.
          await plane().call(`/v1/jobs/${jobId}/cancel`, { body: {} });
          await workOnChore(plane().deps, jobId, "cancel", Number.POSITIVE_INFINITY);
          writes = 0;
        }
        if (writes >= 0 && isWrite && ++writes > lastWrite) throw new Error("crash");
        return send();
      });
      await workOnChore(plane().deps, jobId, "expand", Number.POSITIVE_INFINITY).catch(() => undefined);
      plane().requests.intercept(undefined);
      await plane().foldAll();
      plane().clock.advance(2 * minuteMs);
      await plane().sweep();
      await plane().foldAll();
      expect(await readJob(jobId)).toMatchObject({ status: "aborted", counts: { aborted: 96 } });
    },
  );
});
