import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { beforeAll, describe, expect } from "vitest";
import { createBucket, failureOf, put, readText, type Suite } from "./target.ts";

const racers = 20;

/** Conditions on writes and reads, the races between writers, and ranges. */
export function describeConditions(suite: Suite): void {
  describeConditionalWrites(suite);
  describeConditionalReads(suite);
  describeRanges(suite);
}

function describeConditionalWrites({ it, target }: Suite): void {
  describe("conditional writes", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
    });

    for (const [what, sizeBytes] of [
      ["small", 100],
      ["large", 100_000],
    ] as const) {
      it(`let exactly one of 20 racing ${what} writers create a key`, async () => {
        const key = `race-${what}`;
        const bodies = Array.from({ length: racers }, (_, index) => `${index}:`.padEnd(sizeBytes, "x"));
        const outcomes = await Promise.all(
          bodies.map((body) => failureOf(put(target(), bucket, key, body, { IfNoneMatch: "*" }))),
        );
        const winners = outcomes.flatMap((outcome, index) => (outcome === "succeeded" ? [index] : []));
        expect(winners).toHaveLength(1);
        expect(new Set(outcomes)).toEqual(new Set(["succeeded", "PreconditionFailed 412"]));
        expect(await readText(target(), bucket, key)).toBe(bodies[winners[0] ?? -1]);
      });
    }

    it("create a key again once it was deleted", async () => {
      const where = { Bucket: bucket, Key: "again" };
      const create = () => failureOf(put(target(), bucket, "again", "x", { IfNoneMatch: "*" }));
      expect([await create(), await create()]).toEqual(["succeeded", "PreconditionFailed 412"]);
      await target().client.send(new DeleteObjectCommand(where));
      expect(await create()).toBe("succeeded");
    });

    it("replace only the version that If-Match names", async () => {
      const { ETag = "" } = await put(target(), bucket, "versioned", "one");
      const replace = (body: string, etag: string) =>
        failureOf(put(target(), bucket, "versioned", body, { IfMatch: etag }));
      expect(await replace("two", ETag)).toBe("succeeded");
      expect(await replace("three", ETag)).toBe("PreconditionFailed 412");
      expect(await readText(target(), bucket, "versioned")).toBe("two");
      const missing = put(target(), bucket, "no-version", "x", { IfMatch: ETag });
      expect(await failureOf(missing)).toBe("NoSuchKey 404");
    });

    it("let exactly one of 20 racing multipart completions create a key", async () => {
      const { client } = target();
      const where = { Bucket: bucket, Key: "race-multipart" };
      const uploads = await Promise.all(
        Array.from({ length: racers }, async (_, index) => {
          const { UploadId } = await client.send(new CreateMultipartUploadCommand(where));
          const { ETag } = await client.send(
            new UploadPartCommand({ ...where, UploadId, PartNumber: 1, Body: `${index}` }),
          );
          return { ...where, UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] }, IfNoneMatch: "*" };
        }),
      );
      const outcomes = await Promise.all(
        uploads.map((upload) => failureOf(client.send(new CompleteMultipartUploadCommand(upload)))),
      );
      expect(outcomes.filter((outcome) => outcome === "succeeded")).toHaveLength(1);
      expect(new Set(outcomes)).toEqual(new Set(["succeeded", "PreconditionFailed 412"]));
      expect(await readText(target(), bucket, "race-multipart")).toBe(`${outcomes.indexOf("succeeded")}`);
    });

    it("refuse a multipart completion where the key was taken by a put", async () => {
      const { client } = target();
      const where = { Bucket: bucket, Key: "taken" };
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(where));
      const { ETag } = await client.send(new UploadPartCommand({ ...where, UploadId, PartNumber: 1, Body: "late" }));
      await put(target(), bucket, "taken", "early");
      const completion = new CompleteMultipartUploadCommand({
        ...where,
        UploadId,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
        IfNoneMatch: "*",
      });
      expect(await failureOf(client.send(completion))).toBe("PreconditionFailed 412");
      expect(await readText(target(), bucket, "taken")).toBe("early");
    });
  });
}

function describeConditionalReads({ it, target }: Suite): void {
  describe("conditional reads", () => {
    let bucket: string;
    let etag: string;
    const hourMs = 3_600_000;
    beforeAll(async () => {
      bucket = await createBucket(target());
      const { ETag } = await put(target(), bucket, "read", "hello");
      etag = ETag ?? "";
    });
    const outcomes = async (condition: object) => {
      const { client } = target();
      const input = { Bucket: bucket, Key: "read", ...condition };
      const get = client.send(new GetObjectCommand(input)).then((answer) => answer.Body?.transformToString());
      return [await failureOf(get), await failureOf(client.send(new HeadObjectCommand(input)))];
    };

    it("answer 304 to If-None-Match of the current version", async () => {
      expect(await outcomes({ IfNoneMatch: etag })).toEqual(["Unknown 304", "Unknown 304"]);
      expect(await outcomes({ IfNoneMatch: '"other"' })).toEqual(["succeeded", "succeeded"]);
    });

    it("answer 412 to If-Match of another version", async () => {
      expect(await outcomes({ IfMatch: '"other"' })).toEqual(["PreconditionFailed 412", "Unknown 412"]);
      expect(await outcomes({ IfMatch: etag })).toEqual(["succeeded", "succeeded"]);
    });

    it("go by the time of modification", async () => {
      const past = new Date(Date.now() - hourMs);
      const future = new Date(Date.now() + hourMs);
      expect(await outcomes({ IfModifiedSince: past })).toEqual(["succeeded", "succeeded"]);
      expect(await outcomes({ IfUnmodifiedSince: future })).toEqual(["succeeded", "succeeded"]);
      expect(await outcomes({ IfUnmodifiedSince: past })).toEqual(["PreconditionFailed 412", "Unknown 412"]);
      const { LastModified } = await target().client.send(new HeadObjectCommand({ Bucket: bucket, Key: "read" }));
      expect(await outcomes({ IfModifiedSince: LastModified })).toEqual(["Unknown 304", "Unknown 304"]);
    });
  });
}

function describeRanges({ it, target }: Suite): void {
  describe("ranges", () => {
    let bucket: string;
    const small = "0123456789";
    const large = Array.from({ length: 40_000 }, (_, index) => String(index).padStart(5, "0")).join("");
    beforeAll(async () => {
      bucket = await createBucket(target());
      await put(target(), bucket, "small", small);
      await put(target(), bucket, "large", large);
      await put(target(), bucket, "empty", "");
    });

    for (const [key, content] of [
      ["small", small],
      ["large", large],
    ] as const) {
      const size = content.length;
      for (const [what, range, first, last] of [
        ["from the middle", "bytes=3-5", 3, 5],
        ["of the first byte", "bytes=0-0", 0, 0],
        ["with an open end", `bytes=${size - 4}-`, size - 4, size - 1],
        ["from the end", "bytes=-3", size - 3, size - 1],
        ["that ends behind the end", `bytes=5-${size * 2}`, 5, size - 1],
        ["of more bytes from the end than there are", `bytes=-${size * 2}`, 0, size - 1],
      ] as const) {
        it(`${what} are read from a ${key} object`, async () => {
          const { client } = target();
          const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range: range }));
          expect(await answer.Body?.transformToString()).toBe(content.slice(first, last + 1));
          expect(answer).toMatchObject({
            ContentRange: `bytes ${first}-${last}/${size}`,
            ContentLength: last - first + 1,
          });
          expect(answer.$metadata.httpStatusCode).toBe(206);
        });
      }
    }

    it("that begin behind the end are refused", async () => {
      const read = (Key: string, Range: string) =>
        failureOf(target().client.send(new GetObjectCommand({ Bucket: bucket, Key, Range })));
      expect(await read("small", "bytes=10-")).toBe("InvalidRange 416");
      expect(await read("small", "bytes=-0")).toBe("InvalidRange 416");
      expect(await read("empty", "bytes=0-")).toBe("InvalidRange 416");
    });

    it("that are malformed are ignored", async () => {
      for (const Range of ["bytes=5-3", "nonsense"]) {
        expect(await readText(target(), bucket, "small", { Range })).toBe(small);
      }
    });

    it("tell their length on head", async () => {
      const answer = await target().client.send(
        new HeadObjectCommand({ Bucket: bucket, Key: "large", Range: "bytes=10-19" }),
      );
      expect(answer.ContentLength).toBe(10);
    });
  });
}
