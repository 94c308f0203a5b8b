import { Readable } from "node:stream";
import {
  CreateMultipartUploadCommand,
  type LifecycleRule,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { provisionBucket } from "../../local/stack/provision.ts";
import { createObjectStore } from "../../shared/clients/object-store.ts";
import { retentionTags } from "../../shared/domain/retention.ts";
import { Workbench, waitFor } from "./s3/harness.ts";
import { createBucket, put, readText } from "./s3/target.ts";

const dayMs = 24 * 3_600_000;
const noon = Date.parse("2026-03-10T12:00:00Z");

async function listKeys(client: S3Client, bucket: string): Promise<string[]> {
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  return (Contents ?? []).map(({ Key = "" }) => Key);
}

function setRules(client: S3Client, bucket: string, rules: LifecycleRule[]) {
  return client.send(
    new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration: { Rules: rules } }),
  );
}

/** A server whose clock for objects can be moved; it looks at its rules every few milliseconds. */
async function prepare() {
  const bench = await Workbench.create();
  const clock = { nowMs: noon };
  const server = await bench.start({ clock: () => clock.nowMs, lifecycleIntervalMs: 20 });
  const bucket = await createBucket(server);
  return { bench, clock, server, bucket };
}

describe("lifecycle rules", () => {
  test("remove objects at the midnight after their days, and no others", async () => {
    const { bench, clock, server, bucket } = await prepare();
    await setRules(server.client, bucket, [
      { ID: "logs", Status: "Enabled", Filter: { Prefix: "logs/" }, Expiration: { Days: 2 } },
      { ID: "off", Status: "Disabled", Filter: { Prefix: "" }, Expiration: { Days: 1 } },
    ]);
    const large = "x".repeat(100_000);
    await put(server, bucket, "logs/old", large);
    await put(server, bucket, "other", "x");
    clock.nowMs = noon + dayMs;
    await put(server, bucket, "logs/new", "x");
    // Two days later is the 12th at noon, so the object lives until the 13th begins.
    clock.nowMs = Date.parse("2026-03-12T23:59:59Z");
    await put(server, bucket, "sweeps go on", "x");
    expect(await readText(server, bucket, "logs/old")).toBe(large);
    clock.nowMs = Date.parse("2026-03-13T00:00:00Z");
    await waitFor("the first object to go", async () => !(await listKeys(server.client, bucket)).includes("logs/old"));
    expect(await listKeys(server.client, bucket)).toEqual(["logs/new", "other", "sweeps go on"]);
    await waitFor("its file to go", async () => (await bench.listBlobs()).length === 0);
    clock.nowMs = Date.parse("2026-03-14T00:00:00Z");
    await waitFor("the second object to go", async () => !(await listKeys(server.client, bucket)).includes("logs/new"));
    expect(await listKeys(server.client, bucket)).toEqual(["other", "sweeps go on"]);
  });

  test("spare an object that was written again", async () => {
    const { clock, server, bucket } = await prepare();
    await put(server, bucket, "again", "old");
    await put(server, bucket, "left", "old");
    clock.nowMs = noon + 5 * dayMs;
    await put(server, bucket, "again", "new");
    await setRules(server.client, bucket, [
      { ID: "r", Status: "Enabled", Filter: { Prefix: "" }, Expiration: { Days: 1 } },
    ]);
    await waitFor("the old object to go", async () => !(await listKeys(server.client, bucket)).includes("left"));
    expect(await readText(server, bucket, "again")).toBe("new");
  });

  test("go by tags and sizes", async () => {
    const { server, bucket } = await prepare();
    await put(server, bucket, "tagged", "xxxx", { Tagging: "kind=cache&more=1" });
    await put(server, bucket, "tagged-other", "xxxx", { Tagging: "kind=result" });
    await put(server, bucket, "tagged-small", "x", { Tagging: "kind=cache" });
    const And = { Prefix: "tag", Tags: [{ Key: "kind", Value: "cache" }], ObjectSizeGreaterThan: 1 };
    const Date_ = new Date("2020-01-01T00:00:00Z");
    await setRules(server.client, bucket, [
      { ID: "r", Status: "Enabled", Filter: { And }, Expiration: { Date: Date_ } },
    ]);
    await waitFor("the object to go", async () => !(await listKeys(server.client, bucket)).includes("tagged"));
    expect(await listKeys(server.client, bucket)).toEqual(["tagged-other", "tagged-small"]);
  });

  test("remove artifacts after the time that jobs gave them, in one part or several", async () => {
    const { clock, server, bucket } = await prepare();
    await provisionBucket(server.client, bucket);
    const objects = createObjectStore(server.client, bucket);
    const store = (key: string, bytes: number, keepMs?: number) =>
      objects.putStream(`jobs/${key}`, Readable.from([Buffer.alloc(bytes)], { objectMode: false }), {
        contentType: "application/zstd",
        tags: retentionTags(keepMs),
      });
    await store("day", 10, 3_600_000);
    await store("day-in-parts", 9 * 1024 * 1024, dayMs);
    await store("week", 10, 6 * dayMs);
    await store("always", 10);
    clock.nowMs = Date.parse("2026-03-11T23:00:00Z");
    expect(await listKeys(server.client, bucket)).toHaveLength(4);
    clock.nowMs = Date.parse("2026-03-12T00:00:00Z");
    const isGone = async (key: string) => !(await listKeys(server.client, bucket)).includes(key);
    await waitFor("those of a day to go", async () => (await isGone("jobs/day")) && isGone("jobs/day-in-parts"));
    expect(await listKeys(server.client, bucket)).toEqual(["jobs/always", "jobs/week"]);
    clock.nowMs = Date.parse("2026-03-18T00:00:00Z");
    await waitFor("that of six days to go", () => isGone("jobs/week"));
    expect(await listKeys(server.client, bucket)).toEqual(["jobs/always"]);
  });

  test("give up on uploads that nobody completes", async () => {
    const { bench, clock, server, bucket } = await prepare();
    const begin = async (Key: string) => {
      const where = { Bucket: bucket, Key };
      const { UploadId } = await server.client.send(new CreateMultipartUploadCommand(where));
      await server.client.send(new UploadPartCommand({ ...where, UploadId, PartNumber: 1, Body: "part" }));
    };
    await begin("up/old");
    await begin("elsewhere");
    clock.nowMs = noon + 2 * dayMs;
    await begin("up/new");
    await setRules(server.client, bucket, [
      {
        ID: "r",
        Status: "Enabled",
        Filter: { Prefix: "up/" },
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
      },
    ]);
    const listOpen = async () => {
      const { Uploads } = await server.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      return (Uploads ?? []).map(({ Key }) => Key);
    };
    await waitFor("the old upload to go", async () => (await listOpen()).length === 2);
    expect(await listOpen()).toEqual(["elsewhere", "up/new"]);
    await waitFor("its part to go", async () => (await bench.listBlobs()).length === 2);
  });

  test("are applied to thousands of objects, and after a restart", async () => {
    const bench = await Workbench.create();
    const old = await bench.start({ clock: () => noon });
    const bucket = await createBucket(old);
    for (let batch = 0; batch < 6; batch += 1) {
      const keys = Array.from({ length: 200 }, (_, index) => `old/${batch}/${index}`);
      await Promise.all(keys.map((key) => put(old, bucket, key, "x")));
    }
    await put(old, bucket, "kept", "x");
    await setRules(old.client, bucket, [
      { ID: "r", Status: "Enabled", Filter: { Prefix: "old/" }, Expiration: { Days: 1 } },
    ]);
    await old.close();
    const { client } = await bench.start({ clock: () => noon + 3 * dayMs });
    await waitFor("all old objects to go", async () => (await listKeys(client, bucket)).length === 1);
    expect(await listKeys(client, bucket)).toEqual(["kept"]);
  });
});
