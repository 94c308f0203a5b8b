import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { beforeAll, describe, expect } from "vitest";
import { createBucket, failureOf, put, readText, type Suite } from "./target.ts";

const minPartBytes = 5 * 1024 * 1024;

/** Multipart uploads, from the first part to the object. */
export function describeMultipart({ it, target }: Suite): void {
  describe("multipart uploads", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
    });

    const begin = async (Key: string, more: object = {}) => {
      const { UploadId } = await target().client.send(
        new CreateMultipartUploadCommand({ Bucket: bucket, Key, ...more }),
      );
      return { Bucket: bucket, Key, UploadId };
    };
    type Begun = Awaited<ReturnType<typeof begin>>;
    const uploadPart = async (upload: Begun, PartNumber: number, Body: string | Buffer): Promise<CompletedPart> => {
      const { ETag } = await target().client.send(new UploadPartCommand({ ...upload, PartNumber, Body }));
      return { PartNumber, ETag };
    };
    const complete = (upload: Begun, Parts: CompletedPart[]) =>
      target().client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));

    it("become one object, whatever the order the parts came in", async () => {
      const { client } = target();
      const bodies = [randomBytes(minPartBytes), randomBytes(minPartBytes), Buffer.from("the end")];
      const upload = await begin("whole", { ContentType: "text/x", Metadata: { a: "1" }, Tagging: "t=1" });
      const parts: CompletedPart[] = [];
      for (const index of [2, 0, 1]) parts[index] = await uploadPart(upload, index + 1, bodies[index] ?? "");
      expect(await failureOf(client.send(new HeadObjectCommand({ Bucket: bucket, Key: "whole" })))).toBe(
        "NotFound 404",
      );
      const md5s = bodies.map((body) => createHash("md5").update(body).digest());
      const etag = `"${createHash("md5").update(Buffer.concat(md5s)).digest("hex")}-3"`;
      expect((await complete(upload, parts)).ETag).toBe(etag);

      const get = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "whole" }));
      const whole = Buffer.concat(bodies);
      expect(Buffer.compare(whole, (await get.Body?.transformToByteArray()) ?? new Uint8Array())).toBe(0);
      expect(get).toMatchObject({ ETag: etag, ContentType: "text/x", Metadata: { a: "1" }, TagCount: 1 });
      const seam = await client.send(
        new GetObjectCommand({
          Bucket: bucket,
          Key: "whole",
          Range: `bytes=${minPartBytes - 2}-${2 * minPartBytes + 2}`,
        }),
      );
      const expected = whole.subarray(minPartBytes - 2, 2 * minPartBytes + 3);
      expect(Buffer.compare(expected, (await seam.Body?.transformToByteArray()) ?? new Uint8Array())).toBe(0);
    });

    it("can be read by part", async () => {
      const { client } = target();
      const upload = await begin("by-part");
      const parts = [await uploadPart(upload, 1, Buffer.alloc(minPartBytes)), await uploadPart(upload, 2, "the end")];
      await complete(upload, parts);
      const read = (PartNumber: number) =>
        client.send(new GetObjectCommand({ Bucket: bucket, Key: "by-part", PartNumber }));
      const part = await read(2);
      expect([await part.Body?.transformToString(), part.PartsCount]).toEqual(["the end", 2]);
      expect(part.ContentRange).toBe(`bytes ${minPartBytes}-${minPartBytes + 6}/${minPartBytes + 7}`);
      expect(await failureOf(read(3))).toBe("InvalidPartNumber 416");
    });

    it("take the last of several parts with one number, and leave out what is not listed", async () => {
      const upload = await begin("chosen");
      await uploadPart(upload, 7, "first try");
      const kept = await uploadPart(upload, 7, "second try");
      await uploadPart(upload, 9, "not listed");
      await complete(upload, [kept]);
      expect(await readText(target(), bucket, "chosen")).toBe("second try");
    });

    it("refuse parts out of order", async () => {
      const upload = await begin("disorder");
      const large = Buffer.alloc(minPartBytes);
      const parts = [await uploadPart(upload, 1, large), await uploadPart(upload, 2, large)];
      expect(await failureOf(complete(upload, parts.toReversed()))).toBe("InvalidPartOrder 400");
    });

    it("refuse parts that are too small, unknown or changed", async () => {
      const upload = await begin("refused");
      const one = await uploadPart(upload, 1, "small");
      const two = await uploadPart(upload, 2, "last");
      expect(await failureOf(complete(upload, [one, two]))).toBe("EntityTooSmall 400");
      expect(await failureOf(complete(upload, [{ PartNumber: 3, ETag: one.ETag }]))).toBe("InvalidPart 400");
      expect(await failureOf(complete(upload, [{ PartNumber: 1, ETag: two.ETag }]))).toBe("InvalidPart 400");
      expect(await failureOf(complete(upload, []))).toBe("MalformedXML 400");
      expect(await failureOf(complete(upload, [two]))).toBe("succeeded");
    });

    it("have parts with numbers from 1 to 10000", async () => {
      const upload = await begin("numbers");
      expect(await failureOf(uploadPart(upload, 0, "x"))).toBe("InvalidArgument 400");
      expect(await failureOf(uploadPart(upload, 10_001, "x"))).toBe("InvalidArgument 400");
      expect(await failureOf(uploadPart(upload, 10_000, "x"))).toBe("succeeded");
    });

    it("are answered the same when their completion is repeated", async () => {
      const upload = await begin("repeated");
      const part = await uploadPart(upload, 1, "x");
      const first = await complete(upload, [part]);
      const second = await complete(upload, [part]);
      expect(second.ETag).toBe(first.ETag);
    });

    it("list their parts in pages", async () => {
      const { client } = target();
      const upload = await begin("parts");
      const bodies = ["one", "three", "seven"];
      for (const [index, partNumber] of [1, 3, 7].entries()) await uploadPart(upload, partNumber, bodies[index] ?? "");
      const first = await client.send(new ListPartsCommand({ ...upload, MaxParts: 2 }));
      expect(first).toMatchObject({ IsTruncated: true, NextPartNumberMarker: "3", MaxParts: 2 });
      expect(first.Parts).toMatchObject([
        { PartNumber: 1, Size: 3, ETag: `"${createHash("md5").update("one").digest("hex")}"` },
        { PartNumber: 3, Size: 5 },
      ]);
      const rest = await client.send(new ListPartsCommand({ ...upload, PartNumberMarker: first.NextPartNumberMarker }));
      expect(rest).toMatchObject({ IsTruncated: false, Parts: [{ PartNumber: 7, Size: 5 }] });
    });

    it("are listed while they are open, in pages, with several of one key", async () => {
      const { client } = target();
      const own = await createBucket(target());
      const opened: string[] = [];
      for (const Key of ["x/a", "x/a", "x/a", "x/b", "y"]) {
        const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: own, Key }));
        opened.push(`${Key} ${UploadId}`);
      }
      const found: string[] = [];
      let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
      while (markers !== undefined && found.length <= opened.length) {
        const page: Awaited<ReturnType<typeof list>> = await list(markers);
        found.push(...(page.Uploads ?? []).map(({ Key, UploadId }) => `${Key} ${UploadId}`));
        markers = page.IsTruncated
          ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
          : undefined;
      }
      expect(found).toHaveLength(5);
      expect(new Set(found)).toEqual(new Set(opened));
      const prefixed = await client.send(new ListMultipartUploadsCommand({ Bucket: own, Prefix: "x/b" }));
      expect(prefixed.Uploads?.map(({ Key }) => Key)).toEqual(["x/b"]);

      function list(from: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined }) {
        return client.send(new ListMultipartUploadsCommand({ Bucket: own, MaxUploads: 2, ...from }));
      }
    });

    it("leave nothing when they are aborted", async () => {
      const { client } = target();
      const upload = await begin("aborted");
      const part = await uploadPart(upload, 1, "x");
      await client.send(new AbortMultipartUploadCommand(upload));
      expect(await failureOf(complete(upload, [part]))).toBe("NoSuchUpload 404");
      expect(await failureOf(uploadPart(upload, 2, "x"))).toBe("NoSuchUpload 404");
      const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: "aborted" }));
      expect(Uploads ?? []).toEqual([]);
    });

    it("that do not exist cannot be listed or aborted", async () => {
      const { client } = target();
      const where = { Bucket: bucket, Key: "aborted", UploadId: "none" };
      expect(await failureOf(client.send(new ListPartsCommand(where)))).toBe("NoSuchUpload 404");
      expect(await failureOf(client.send(new AbortMultipartUploadCommand(where)))).toBe("NoSuchUpload 404");
    });

    it("take parts from other objects", async () => {
      const { client } = target();
      const source = randomBytes(minPartBytes + 1000);
      await put(target(), bucket, "source", source);
      const upload = await begin("from-copies");
      const copy = async (PartNumber: number, range?: string) => {
        const { CopyPartResult } = await client.send(
          new UploadPartCopyCommand({
            ...upload,
            PartNumber,
            CopySource: `${bucket}/source`,
            CopySourceRange: range,
          }),
        );
        return { PartNumber, ETag: CopyPartResult?.ETag };
      };
      const parts = [await copy(1), await copy(2, "bytes=10-19")];
      await complete(upload, parts);
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "from-copies" }));
      const expected = Buffer.concat([source, source.subarray(10, 20)]);
      expect(Buffer.compare(expected, (await Body?.transformToByteArray()) ?? new Uint8Array())).toBe(0);
    });

    it("are written by the SDK's uploader from a stream of unknown length", async () => {
      const { client } = target();
      const pieces = Array.from({ length: 12 }, () => randomBytes(1_000_000));
      const upload = new Upload({
        client,
        params: { Bucket: bucket, Key: "uploader", Body: Readable.from(pieces), IfNoneMatch: "*" },
        partSize: minPartBytes,
        queueSize: 2,
      });
      await upload.done();
      const { Body, ETag } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "uploader" }));
      expect(ETag).toMatch(/-3"$/);
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
      expect(Buffer.compare(Buffer.concat(pieces), bytes)).toBe(0);
    });

    it("become an object that is copied in one piece", async () => {
      const { client } = target();
      const upload = await begin("to-copy");
      await complete(upload, [await uploadPart(upload, 1, "content")]);
      await client.send(new CopyObjectCommand({ Bucket: bucket, Key: "copy", CopySource: `${bucket}/to-copy` }));
      const { Body, ETag } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "copy" }));
      expect(await Body?.transformToString()).toBe("content");
      expect(ETag).toBe(`"${createHash("md5").update("content").digest("hex")}"`);
    });
  });
}
