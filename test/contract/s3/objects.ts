import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  DeleteObjectTaggingCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectTaggingCommand,
} from "@aws-sdk/client-s3";
import { beforeAll, describe, expect } from "vitest";
import { createBucket, failureOf, put, readText, type Suite } from "./target.ts";

/** Objects: what is written is what is read, under any key, with everything that was said about it. */
export function describeObjects(suite: Suite): void {
  const { it, target } = suite;
  describe("objects", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
    });

    it("keep body, metadata, type and encodings", async () => {
      const { client } = target();
      const said = {
        ContentType: "text/plain; charset=utf-8",
        ContentEncoding: "gzip",
        ContentLanguage: "de",
        ContentDisposition: 'attachment; filename="a b.txt"',
        CacheControl: "max-age=60",
        Metadata: { owner: "ann", "with-dash": "two words", empty: "" },
      };
      const { ETag } = await put(target(), bucket, "said", "hello", said);
      expect(ETag).toBe(`"${createHash("md5").update("hello").digest("hex")}"`);
      const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: "said" }));
      const get = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "said" }));
      expect(await get.Body?.transformToString()).toBe("hello");
      for (const answer of [head, get]) {
        expect(answer).toMatchObject({ ...said, ETag, ContentLength: 5, AcceptRanges: "bytes" });
        expect(answer.LastModified?.getMilliseconds()).toBe(0);
      }
    });

    for (const [what, sizeBytes] of [
      ["no bytes", 0],
      ["one byte", 1],
      ["64 KiB", 65_536],
      ["one byte more than 64 KiB", 65_537],
      ["3 MiB", 3 * 1024 * 1024],
    ] as const) {
      it(`of ${what} come back as they were`, async () => {
        const body = randomBytes(sizeBytes);
        await put(target(), bucket, `size-${sizeBytes}`, body);
        const { Body, ContentLength } = await target().client.send(
          new GetObjectCommand({ Bucket: bucket, Key: `size-${sizeBytes}` }),
        );
        expect(ContentLength).toBe(sizeBytes);
        const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
        expect(Buffer.compare(body, bytes)).toBe(0);
      });
    }

    it("are written from a stream of known length", async () => {
      const pieces = Array.from({ length: 20 }, () => randomBytes(17_000));
      const body = Buffer.concat(pieces);
      await put(target(), bucket, "streamed", Readable.from(pieces), { ContentLength: body.length });
      const { Body } = await target().client.send(new GetObjectCommand({ Bucket: bucket, Key: "streamed" }));
      expect(Buffer.compare(body, (await Body?.transformToByteArray()) ?? new Uint8Array())).toBe(0);
    });

    it("are replaced as a whole", async () => {
      await put(target(), bucket, "replaced", "a".repeat(100_000), { Metadata: { old: "yes" } });
      await put(target(), bucket, "replaced", "b");
      const { Body, Metadata } = await target().client.send(new GetObjectCommand({ Bucket: bucket, Key: "replaced" }));
      expect([await Body?.transformToString(), Metadata]).toEqual(["b", {}]);
    });

    it("that do not exist are NoSuchKey, and 404 on head", async () => {
      const { client } = target();
      const missing = { Bucket: bucket, Key: "missing" };
      expect(await failureOf(client.send(new GetObjectCommand(missing)))).toBe("NoSuchKey 404");
      expect(await failureOf(client.send(new HeadObjectCommand(missing)))).toBe("NotFound 404");
      expect(await failureOf(client.send(new GetObjectTaggingCommand(missing)))).toBe("NoSuchKey 404");
      expect(await failureOf(client.send(new DeleteObjectCommand(missing)))).toBe("succeeded");
    });

    const keys = [
      "plain",
      "with space",
      "plus+plus",
      "percent%25%",
      "double//slash",
      "//leading",
      "trailing/",
      "dots/./../here",
      "..",
      "ünïcödé/€/😀",
      "quote'\"<&>;=?#[]{}|^~`!@$*(),:",
      "tab\tand\nnewline",
    ];
    for (const key of keys) {
      it(`live under the key ${JSON.stringify(key)}`, async () => {
        const { client } = target();
        const own = await createBucket(target());
        await put(target(), own, key, key);
        expect(await readText(target(), own, key)).toBe(key);
        const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: own, Prefix: key }));
        expect(Contents?.map(({ Key }) => Key)).toEqual([key]);
        await client.send(new DeleteObjectCommand({ Bucket: own, Key: key }));
        expect(await failureOf(client.send(new GetObjectCommand({ Bucket: own, Key: key })))).toBe("NoSuchKey 404");
      });
    }

    it("have keys of at most 1024 bytes", async () => {
      await put(target(), bucket, "k".repeat(1024), "x");
      expect(await failureOf(put(target(), bucket, "k".repeat(1025), "x"))).toBe("KeyTooLongError 400");
      expect(await failureOf(put(target(), bucket, "ä".repeat(513), "x"))).toBe("KeyTooLongError 400");
    });

    it("have at most 2 KB of metadata", async () => {
      const outcome = put(target(), bucket, "meta", "x", { Metadata: { big: "m".repeat(2100) } });
      expect(await failureOf(outcome)).toBe("MetadataTooLarge 400");
    });

    it("are deleted many at a time", async () => {
      const { client } = target();
      const names = ["many/a & b", "many/<c>", "many/d'e", "many/f"];
      for (const name of names) await put(target(), bucket, name, "x");
      const Objects = [...names, "many/never-was"].map((Key) => ({ Key }));
      const answer = await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }));
      expect(answer.Deleted?.map(({ Key }) => Key).sort()).toEqual(Objects.map(({ Key }) => Key).sort());
      const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: "many/" }));
      expect(KeyCount).toBe(0);
    });

    it("with a carriage return in the key are deleted many at a time", async () => {
      const { client } = target();
      await put(target(), bucket, "return\rkey", "x");
      const Delete = { Objects: [{ Key: "return\rkey" }] };
      const answer = await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete }));
      expect(answer.Deleted).toEqual([{ Key: "return\rkey" }]);
      const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: "return" }));
      expect(KeyCount).toBe(0);
    });

    it("are deleted quietly on request", async () => {
      await put(target(), bucket, "quiet", "x");
      const Delete = { Objects: [{ Key: "quiet" }], Quiet: true };
      const answer = await target().client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete }));
      expect([answer.Deleted ?? [], answer.Errors ?? []]).toEqual([[], []]);
    });

    it("are answered with other headers where a request asks for them", async () => {
      await put(target(), bucket, "override", "x", { ContentType: "text/plain" });
      const answer = await target().client.send(
        new GetObjectCommand({
          Bucket: bucket,
          Key: "override",
          ResponseContentType: "application/json",
          ResponseContentDisposition: 'attachment; filename="x.json"',
        }),
      );
      expect(answer).toMatchObject({
        ContentType: "application/json",
        ContentDisposition: 'attachment; filename="x.json"',
      });
    });
  });

  describeCopies(suite);
  describeTagging(suite);
}

function describeCopies({ it, target }: Suite): void {
  describe("copies", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
    });
    const source = (key: string) => `${bucket}/${encodeURIComponent(key)}`;

    for (const [what, body] of [
      ["small", "hello"],
      ["large", "x".repeat(200_000)],
    ] as const) {
      it(`of a ${what} object outlive the original and keep its attributes`, async () => {
        const { client } = target();
        const key = `copy ${what} +ü`;
        await put(target(), bucket, key, body, { ContentType: "text/x", Metadata: { a: "1" } });
        const other = await createBucket(target());
        const { CopyObjectResult } = await client.send(
          new CopyObjectCommand({ Bucket: other, Key: "copied", CopySource: source(key) }),
        );
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
        const copied = await client.send(new GetObjectCommand({ Bucket: other, Key: "copied" }));
        expect(await copied.Body?.transformToString()).toBe(body);
        expect(copied).toMatchObject({
          ContentType: "text/x",
          Metadata: { a: "1" },
          ETag: `"${createHash("md5").update(body).digest("hex")}"`,
        });
        expect(CopyObjectResult?.ETag).toBe(copied.ETag);
      });
    }

    it("take new attributes where REPLACE says so", async () => {
      const { client } = target();
      await put(target(), bucket, "replace", "x", { ContentType: "text/x", Metadata: { a: "1" } });
      const copy = { Bucket: bucket, Key: "replace", CopySource: source("replace") };
      expect(await failureOf(client.send(new CopyObjectCommand(copy)))).toBe("InvalidRequest 400");
      await client.send(
        new CopyObjectCommand({ ...copy, MetadataDirective: "REPLACE", ContentType: "text/y", Metadata: { b: "2" } }),
      );
      const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: "replace" }));
      expect(head).toMatchObject({ ContentType: "text/y", Metadata: { b: "2" } });
      expect(head.Metadata).not.toHaveProperty("a");
    });

    it("are refused without a source", async () => {
      const copy = new CopyObjectCommand({ Bucket: bucket, Key: "target", CopySource: source("missing") });
      expect(await failureOf(target().client.send(copy))).toBe("NoSuchKey 404");
    });

    it("are refused when a condition on the source does not hold", async () => {
      const { client } = target();
      const { ETag } = await put(target(), bucket, "conditional", "x");
      const where = { Bucket: bucket, Key: "target", CopySource: source("conditional") };
      const copy = (more: object) => failureOf(client.send(new CopyObjectCommand({ ...where, ...more })));
      expect(await copy({ CopySourceIfMatch: '"other"' })).toBe("PreconditionFailed 412");
      expect(await copy({ CopySourceIfNoneMatch: ETag })).toBe("PreconditionFailed 412");
      expect(await copy({ CopySourceIfMatch: ETag })).toBe("succeeded");
    });
  });
}

function describeTagging({ it, target }: Suite): void {
  describe("tags of objects", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
    });
    const readTags = async (Key: string) => {
      const { TagSet } = await target().client.send(new GetObjectTaggingCommand({ Bucket: bucket, Key }));
      return TagSet?.map((tag) => `${tag.Key}=${tag.Value}`).sort();
    };

    it("are written with the object, counted, replaced and removed", async () => {
      const { client } = target();
      const where = { Bucket: bucket, Key: "tagged" };
      await put(target(), bucket, "tagged", "x", { Tagging: "a=1&b=two%20words" });
      expect(await readTags("tagged")).toEqual(["a=1", "b=two words"]);
      const { TagCount } = await client.send(new GetObjectCommand(where));
      expect(TagCount).toBe(2);
      const TagSet = [{ Key: "c", Value: "two words/@:+é" }];
      await client.send(new PutObjectTaggingCommand({ ...where, Tagging: { TagSet } }));
      expect(await readTags("tagged")).toEqual(["c=two words/@:+é"]);
      await client.send(new DeleteObjectTaggingCommand(where));
      expect(await readTags("tagged")).toEqual([]);
    });

    it("are copied with the object", async () => {
      await put(target(), bucket, "original", "x", { Tagging: "a=1" });
      const CopySource = `${bucket}/original`;
      await target().client.send(new CopyObjectCommand({ Bucket: bucket, Key: "copied", CopySource }));
      expect(await readTags("copied")).toEqual(["a=1"]);
    });

    it("are at most ten", async () => {
      const { client } = target();
      await put(target(), bucket, "limits", "x");
      const replace = (TagSet: { Key: string; Value: string }[]) =>
        failureOf(client.send(new PutObjectTaggingCommand({ Bucket: bucket, Key: "limits", Tagging: { TagSet } })));
      const eleven = Array.from({ length: 11 }, (_, index) => ({ Key: `k${index}`, Value: "v" }));
      expect(await replace(eleven)).toBe("BadRequest 400");
      expect(await replace(eleven.slice(1))).toBe("succeeded");
    });

    it("have keys of their own and only the characters that S3 allows", async () => {
      const { client } = target();
      await put(target(), bucket, "characters", "x");
      const replace = (...TagSet: { Key: string; Value: string }[]) =>
        failureOf(client.send(new PutObjectTaggingCommand({ Bucket: bucket, Key: "characters", Tagging: { TagSet } })));
      expect(await replace({ Key: "a", Value: "<&>" })).toBe("InvalidTag 400");
      expect(await replace({ Key: "", Value: "v" })).toMatch(/ 400$/);
      expect(await replace({ Key: "a", Value: "1" }, { Key: "a", Value: "2" })).toBe("InvalidTag 400");
    });
  });
}
