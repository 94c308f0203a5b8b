import { randomUUID } from "node:crypto";
import { CreateTableCommand, DescribeTableCommand, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, it } from "vitest";
import { provisionTable } from "../../local/stack/provision.ts";
import { tableDefinition } from "../../shared/infrastructure/table.ts";
import { countActiveJobs } from "../../shared/repository/active.ts";
import { createTable } from "../../shared/repository/table.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";

const plane = useControlPlane({ pools: ["default", "large"] });
const afterAllJobs = "~".repeat(26);

const listUnfinished = async (pool: string) =>
  (await plane().deps.jobs.listBefore({ pool, jobId: afterAllJobs }, 100)).items.map(({ jobId }) => jobId);

describe("the unfinished jobs of a pool", () => {
  it("are listed in the order in which they were submitted, until they end", async () => {
    const jobs: string[] = [];
    for (const name of ["zebra", "yak", "ant"]) {
      jobs.push(await plane().submit(noopJob(["a"], { name })));
      plane().clock.advance(1);
    }
    const elsewhere = await plane().submit(noopJob(["a"], { pool: "large" }));
    expect(await listUnfinished("default")).toEqual(jobs);
    expect(await listUnfinished("large")).toEqual([elsewhere]);
    const [first = "", second = "", third = ""] = jobs;
    const before = await plane().deps.jobs.listBefore({ pool: "default", jobId: third }, 1);
    expect(before).toMatchObject({ items: [{ jobId: first }], more: true });
    const worker = plane().createWorker();
    expect((await worker.claimOne()).jobId).toBe(first);
    await plane().foldAll();
    expect(await listUnfinished("default")).toHaveLength(3);
    await plane().call(`/v1/jobs/${second}/cancel`, { method: "POST" });
    await plane().foldAll();
    expect((await listUnfinished("default")).sort()).toEqual([first, third].sort());
  });

  it("are counted no further than asked", async () => {
    for (let job = 0; job < 5; job++) await plane().submit(noopJob(["a"]));
    expect(await plane().deps.jobs.countActive("default", 3)).toBe(3);
    expect(await plane().deps.jobs.countActive("default", 100)).toBe(5);
    expect(await plane().deps.jobs.countActive("large", 100)).toBe(0);
  });
});

describe("the active workers of a pool", () => {
  it("are those that have not stopped, also where nobody has heard of them for long", async () => {
    const [silent, stopped] = [plane().createWorker(), plane().createWorker()];
    for (const worker of [silent, stopped]) await worker.register();
    await stopped.beat([], "stopped");
    plane().clock.advance(3600_000);
    const { items, more } = await plane().deps.workers.listActive("default", 10);
    expect({ ids: items.map(({ workerId }) => workerId), more }).toEqual({ ids: [silent.workerId], more: false });
  });
});

describe("a table of an earlier version", () => {
  it("gets the indexes it lacks, filled from what it holds", async () => {
    const endpoint = await plane().table.client.config.endpoint?.();
    if (!endpoint) throw new Error("the client has an endpoint");
    const url = `${endpoint.protocol}//${endpoint.hostname}:${endpoint.port}`;
    const credentials = { accessKeyId: "TESTKEY", secretAccessKey: "test-secret" };
    const client = new DynamoDBClient({ endpoint: url, region: "us-east-1", credentials });
    const name = `old-${randomUUID()}`;
    const key = (AttributeName: string, KeyType: "HASH" | "RANGE") => ({ AttributeName, KeyType });
    await client.send(
      new CreateTableCommand({
        TableName: name,
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: ["pk", "sk", "listPk", "listSk"].map((AttributeName) => ({
          AttributeName,
          AttributeType: "S",
        })),
        KeySchema: [key("pk", "HASH"), key("sk", "RANGE")],
        GlobalSecondaryIndexes: [
          {
            IndexName: "byList",
            KeySchema: [key("listPk", "HASH"), key("listSk", "RANGE")],
            Projection: { ProjectionType: "KEYS_ONLY" },
          },
        ],
        StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
      }),
    );
    const Item = { pk: { S: "JOB#x" }, sk: { S: "DIGEST" }, activePk: { S: "JOBS#default" }, activeSk: { S: "x" } };
    await client.send(new PutItemCommand({ TableName: name, Item }));
    const streamArn = await provisionTable(client, name);
    const { Table } = await client.send(new DescribeTableCommand({ TableName: name }));
    const indexes = (Table?.GlobalSecondaryIndexes ?? []).map(({ IndexName }) => IndexName);
    expect(indexes.sort()).toEqual(Object.keys(tableDefinition.indexes).sort());
    expect(Table?.LatestStreamArn).toBe(streamArn);
    expect(await countActiveJobs(createTable(client, name), "default", 10)).toBe(1);
    client.destroy();
  });
});
