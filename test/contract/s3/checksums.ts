import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import {
  type ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { beforeAll, describe, expect } from "vitest";
import { createBucket, failureOf, put, type Suite } from "./target.ts";

const minPartBytes = 5 * 1024 * 1024;

function crc32Base64(data: string | Buffer): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(data));
  return bytes.toString("base64");
}

function sha256Base64(data: string | Buffer): string {
  return createHash("sha256").update(data).digest("base64");
}

/** Checksums: computed, compared, kept and given back. */
export function describeChecksums(suite: Suite): void {
  describeObjectChecksums(suite);
  describeMultipartChecksums(suite);
}

function describeObjectChecksums({ it, target }: Suite): void {
  describe("checksums of objects", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
    });
    const readChecksums = async (Key: string) => {
      const input = { Bucket: bucket, Key, ChecksumMode: "ENABLED" } as const;
      const get = await target().client.send(new GetObjectCommand(input));
      await get.Body?.transformToString();
      return [get, await target().client.send(new HeadObjectCommand(input))];
    };

    it("are CRC32 by default and come back on request only", async () => {
      const answer = await put(target(), bucket, "default", "hello");
      expect(answer.ChecksumCRC32).toBe(crc32Base64("hello"));
      for (const read of await readChecksums("default")) {
        expect(read.ChecksumCRC32).toBe(crc32Base64("hello"));
      }
      const plain = await target().client.send(new HeadObjectCommand({ Bucket: bucket, Key: "default" }));
      expect(plain.ChecksumCRC32).toBeUndefined();
    });

    for (const [algorithm, value] of [
      ["CRC32", "NhCmhg=="],
      ["CRC32C", "mnG7TA=="],
      ["SHA1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="],
      ["SHA256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="],
    ] as const) {
      it(`of the kind ${algorithm} are computed by the SDK and accepted`, async () => {
        const key = `by-sdk-${algorithm}`;
        await put(target(), bucket, key, "hello", { ChecksumAlgorithm: algorithm as ChecksumAlgorithm });
        for (const read of await readChecksums(key)) expect(read).toMatchObject({ [`Checksum${algorithm}`]: value });
      });

      it(`of the kind ${algorithm} are refused when they are wrong, and nothing is stored`, async () => {
        const key = `wrong-${algorithm}`;
        const wrong = Buffer.alloc(Buffer.from(value, "base64").length, 7).toString("base64");
        const outcome = await failureOf(put(target(), bucket, key, "hello", { [`Checksum${algorithm}`]: wrong }));
        expect(outcome).toBe("BadDigest 400");
        const read = target().client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
        expect(await failureOf(read)).toBe("NotFound 404");
      });

      it(`of the kind ${algorithm} come as trailers of a stream`, async () => {
        const key = `stream-${algorithm}`;
        const body = Buffer.alloc(200_000, "hello");
        await put(target(), bucket, key, Readable.from([body.subarray(0, 70_001), body.subarray(70_001)]), {
          ContentLength: body.length,
          ChecksumAlgorithm: algorithm as ChecksumAlgorithm,
        });
        const expected = algorithm === "SHA256" ? sha256Base64(body) : expect.any(String);
        for (const read of await readChecksums(key)) {
          expect(read).toMatchObject({ [`Checksum${algorithm}`]: expected, ContentLength: 200_000 });
        }
      });
    }

    it("name their type", async () => {
      const answer = await put(target(), bucket, "typed", "hello");
      expect(answer.ChecksumType).toBe("FULL_OBJECT");
      for (const read of await readChecksums("typed")) expect(read.ChecksumType).toBe("FULL_OBJECT");
    });

    it("that are no checksums at all are refused", async () => {
      const outcome = await failureOf(put(target(), bucket, "nonsense", "hello", { ChecksumSHA256: "nonsense" }));
      expect(outcome).toBe("InvalidRequest 400");
    });

    it("of the kind Content-MD5 are compared", async () => {
      const md5 = (text: string) => createHash("md5").update(text).digest("base64");
      const write = (ContentMD5: string) => failureOf(put(target(), bucket, "md5", "hello", { ContentMD5 }));
      expect(await write(md5("hello"))).toBe("succeeded");
      expect(await write(md5("other"))).toBe("BadDigest 400");
      expect(await write("nonsense")).toBe("InvalidDigest 400");
    });

    it("are not given for a part of an object", async () => {
      await put(target(), bucket, "ranged", "hello");
      const answer = await target().client.send(
        new GetObjectCommand({ Bucket: bucket, Key: "ranged", Range: "bytes=0-1", ChecksumMode: "ENABLED" }),
      );
      expect([await answer.Body?.transformToString(), answer.ChecksumCRC32]).toEqual(["he", undefined]);
    });
  });
}

function describeMultipartChecksums({ it, target }: Suite): void {
  describe("checksums of multipart uploads", () => {
    let bucket: string;
    const bodies = [Buffer.alloc(minPartBytes, 1), Buffer.from("the end")];
    beforeAll(async () => {
      bucket = await createBucket(target());
    });
    const uploadAll = async (Key: string, more: object, algorithm: "CRC32" | "SHA256") => {
      const { client } = target();
      const where = { Bucket: bucket, Key };
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...where, ...more }));
      const Parts = [];
      for (const [index, Body] of bodies.entries()) {
        const PartNumber = index + 1;
        const part = await client.send(
          new UploadPartCommand({ ...where, UploadId, PartNumber, Body, ChecksumAlgorithm: algorithm }),
        );
        const { ETag, ChecksumCRC32, ChecksumSHA256 } = part;
        Parts.push({ PartNumber, ETag, ChecksumCRC32, ChecksumSHA256 });
      }
      return { ...where, UploadId, Parts };
    };

    for (const [algorithm, compute] of [
      ["CRC32", crc32Base64],
      ["SHA256", sha256Base64],
    ] as const) {
      it(`are composed of the parts' ${algorithm}s`, async () => {
        const { client } = target();
        const key = `composite-${algorithm}`;
        const { Parts, ...upload } = await uploadAll(key, { ChecksumAlgorithm: algorithm }, algorithm);
        const digests = Buffer.concat(bodies.map((body) => Buffer.from(compute(body), "base64")));
        const value = `${compute(digests)}-2`;
        const completed = await client.send(
          new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }),
        );
        expect(completed).toMatchObject({ [`Checksum${algorithm}`]: value });
        const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: "ENABLED" }));
        expect(head).toMatchObject({ [`Checksum${algorithm}`]: value });
      });

      it(`of the parts are listed as ${algorithm}, with their kind`, async () => {
        const { client } = target();
        const { Parts: _parts, ...upload } = await uploadAll("listed", { ChecksumAlgorithm: algorithm }, algorithm);
        const listed = await client.send(new ListPartsCommand(upload));
        expect(listed.Parts).toMatchObject(bodies.map((body) => ({ [`Checksum${algorithm}`]: compute(body) })));
        expect(listed).toMatchObject({ ChecksumAlgorithm: algorithm, ChecksumType: "COMPOSITE" });
      });
    }

    it("cover the whole object where FULL_OBJECT says so", async () => {
      const { client } = target();
      const { Parts, ...upload } = await uploadAll(
        "full-object",
        { ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT" },
        "CRC32",
      );
      const ChecksumCRC32 = crc32Base64(Buffer.concat(bodies));
      const completed = await client.send(
        new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ChecksumCRC32 }),
      );
      expect(completed).toMatchObject({ ChecksumCRC32, ChecksumType: "FULL_OBJECT" });
    });

    it("are refused when a part or the whole does not agree", async () => {
      const { client } = target();
      const { Parts, ...upload } = await uploadAll("refused", { ChecksumAlgorithm: "CRC32" }, "CRC32");
      const complete = (parts: typeof Parts, more: object = {}) =>
        failureOf(
          client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts }, ...more })),
        );
      const wrong = crc32Base64("other");
      const [first, ...others] = Parts;
      expect(await complete([{ ...first, ChecksumCRC32: wrong } as (typeof Parts)[number], ...others])).toBe(
        "InvalidPart 400",
      );
      expect(await complete(Parts, { ChecksumCRC32: wrong })).toBe("BadDigest 400");
      const without = Parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }) as (typeof Parts)[number]);
      expect(await complete(without)).toBe("InvalidRequest 400");
      expect(await complete(Parts)).toBe("succeeded");
    });
  });
}
