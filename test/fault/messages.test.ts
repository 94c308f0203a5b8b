import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { afterEach, describe, expect, it } from "vitest";
import type { DeadLetterPage, Job, Task } from "../../shared/api/schemas.ts";
import { digestKey, dueEntry } from "../../shared/repository/keys.ts";
import { type FaultStack, greet, planCompleting, useFaultStacks } from "../support/chaos/fault-fixture.ts";
import { announce, PoolQueues } from "../support/chaos/queues.ts";
import { eventually } from "../support/eventually.ts";
import { step } from "../support/jobs.ts";
import type { StackStart } from "../support/local-stack.ts";

const startStack = useFaultStacks();
const opened: PoolQueues[] = [];

afterEach(() => {
  for (const queues of opened.splice(0)) queues.close();
});

async function start(options: StackStart): Promise<{ running: FaultStack; queues: PoolQueues }> {
  const running = await startStack(options);
  const queues = new PoolQueues(running.stack);
  opened.push(queues);
  return { running, queues };
}

const empty = { waiting: 0, inFlight: 0 };

/** A claim that is told to wait hides its message for up to a lease. */
async function untilEmpty(queues: PoolQueues): Promise<void> {
  await eventually(async () => {
    const { waiting, inFlight } = await queues.countMessages("queue");
    return waiting + inFlight === 0;
  }, "an empty queue");
}

describe("messages that come more than once", () => {
  it("run no task twice, whether they come before, during or after it", { timeout: 240_000 }, async () => {
    const { running, queues } = await start({ workers: 2, slots: 2 });
    const names = Array.from({ length: 8 }, (_, index) => `t${index}`);
    const plan = planCompleting("twice", [step({ run: `${greet}; sleep 0.5` })], names);
    const jobId = await running.submit(plan);
    const repeat = async () => {
      for (const body of announce(plan, jobId)) await queues.send(body, jobId);
    };
    await repeat();
    await repeat();
    await running.waitForEnd(jobId);
    await repeat();
    await untilEmpty(queues);
    const { tasks } = await running.expectSound(plan, jobId);
    expect(tasks.map(({ attempts }) => attempts.length)).toEqual(names.map(() => 1));
    expect(await queues.countMessages("deadLetterQueue")).toEqual(empty);
  });
});

describe("messages that are no task", () => {
  it("end as dead letters with their bodies, as does one whose task fits no worker, and hold up nobody", {
    timeout: 240_000,
  }, async () => {
    const { running, queues } = await start({ workers: 1, slots: 2 });
    const readLetters = () => running.read<DeadLetterPage>("/v1/admin/dead-letters?pool=default");
    const poison = ["no JSON", "{}", '{"v":2,"jobId":"a-1","task":"t","bucket":0,"slots":1}', '{"v":1,"jobId":7}'];
    await queues.hurryDeadLetters({ receives: 2, hideSeconds: 1 });
    for (const body of poison) await queues.send(body);
    const dead = async () => (await readLetters()).deadLetters.length === poison.length;
    await eventually(dead, "the dead letters", 120_000);
    await queues.hurryDeadLetters(undefined);
    const large = planCompleting("large", [step({ run: greet })], ["l"]);
    const spec = { ...large.spec, tasks: [{ name: "l", slots: 3 }] };
    const largeId = await running.submit({ ...large, spec });
    const { deadLetters } = await readLetters();
    expect(deadLetters.map(({ body }) => body).sort()).toEqual(poison.sort());
    // The worker hides what it cannot fit for minutes, twenty times: so long nobody waits here.
    for (const body of announce({ ...large, spec }, largeId)) await queues.send(body, largeId, "deadLetterQueue");
    expect(await running.waitForEnd(largeId)).toMatchObject({ status: "failed" });
    const task = await running.read<Task>(`/v1/jobs/${largeId}/tasks/l`);
    expect(task).toMatchObject({ attempt: 0, reason: { code: "dead_lettered" } });
    expect(task.reason?.detail).toContain("it needs 3 slots, the largest live worker of pool default has 2");
    const settled = async () => (await queues.countMessages("deadLetterQueue")).inFlight === 0;
    await eventually(settled, "an empty dead-letter queue");

    for (const body of poison) await queues.send(body);
    const plan = planCompleting("healthy", [step({ run: greet })], ["a", "b", "c", "d"]);
    await running.expectSound(plan, await running.submit(plan));
  });

  it("are dropped where their job or task does not exist", { timeout: 240_000 }, async () => {
    const { queues } = await start({ workers: 1, slots: 2 });
    const unknown = { v: 1, jobId: "gone-01arz3ndektsv4rrffq69g5fav", task: "t", bucket: 0, slots: 1 };
    for (const message of [unknown, { ...unknown, bucket: 31 }, { ...unknown, jobId: "../x", task: "#" }]) {
      await queues.send(JSON.stringify(message));
    }
    await untilEmpty(queues);
    expect(await queues.countMessages("deadLetterQueue")).toEqual(empty);
  });
});

describe("a message that is lost while its task waits", () => {
  it("is sent again when nothing moved in the job for an hour", { timeout: 240_000 }, async () => {
    const { running, queues } = await start({ workers: 1, slots: 1 });
    const go = join(running.stack.dataDir, "go");
    const wait = `${greet}; while [ ! -e "${go}" ]; do sleep 0.1; done`;
    const blocker = planCompleting("blocker", [step({ run: wait })], ["b"]);
    const blockerId = await running.submit(blocker);
    await eventually(
      async () => (await running.read<Task>(`/v1/jobs/${blockerId}/tasks/b`)).status === "running",
      "the blocker",
    );
    // The worker has no free slot and asks for nothing: the messages of the next job wait for whoever takes them.
    const plan = planCompleting("victim", [step({ run: greet })], ["v", "w"]);
    const jobId = await running.submit(plan);
    expect((await queues.lose()).sort()).toEqual(announce(plan, jobId).sort());
    await writeFile(go, "");
    await running.expectSound(blocker, blockerId);
    expect(await running.read<Job>(`/v1/jobs/${jobId}`)).toMatchObject({ status: "queued", counts: { queued: 2 } });
    await passAnHour(running, jobId);
    // The sweep runs when the functions start.
    await running.killAndAwaitNext("functions");
    await running.expectSound(plan, jobId);
  });
});

/** Sets back by an hour when the sweep is to look at a job, as if that time had passed since its submit. */
async function passAnHour({ stack }: FaultStack, jobId: string): Promise<void> {
  const { aws } = stack;
  const { accessKeyId, secretAccessKey } = aws;
  const credentials = { accessKeyId, secretAccessKey };
  const dynamoDb = new DynamoDBClient({ endpoint: aws.dynamodb, region: aws.region, credentials });
  const hourMs = 3_600_000;
  const createdAt = new Date(Date.now() - hourMs - 60_000).toISOString();
  const { dueAt } = dueEntry(jobId, Date.now() - 60_000);
  await DynamoDBDocumentClient.from(dynamoDb).send(
    new UpdateCommand({
      TableName: "sluice",
      Key: digestKey(jobId),
      UpdateExpression: "SET createdAt = :createdAt, dueAt = :dueAt",
      ConditionExpression: "attribute_exists(dueAt)",
      ExpressionAttributeValues: { ":createdAt": createdAt, ":dueAt": dueAt },
    }),
  );
  dynamoDb.destroy();
}
