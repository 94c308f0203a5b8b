import { randomUUID } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketTaggingCommand,
  DeleteObjectCommand,
  GetBucketLocationCommand,
  GetBucketTaggingCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutBucketTaggingCommand,
} from "@aws-sdk/client-s3";
import { describe, expect } from "vitest";
import { createBucket, failureOf, put, type Suite } from "./target.ts";

/** Buckets: their life, their names and what stands in the way of deleting them. */
export function describeBuckets({ it, target }: Suite): void {
  describe("buckets", () => {
    it("are created, found, listed and deleted", async () => {
      const { client } = target();
      const name = `contract-${randomUUID()}`;
      expect(await failureOf(client.send(new HeadBucketCommand({ Bucket: name })))).toBe("NotFound 404");
      await client.send(new CreateBucketCommand({ Bucket: name }));
      await client.send(new HeadBucketCommand({ Bucket: name }));
      const listed = await client.send(new ListBucketsCommand({}));
      const bucket = listed.Buckets?.find(({ Name }) => Name === name);
      expect(bucket?.CreationDate).toBeInstanceOf(Date);
      await client.send(new DeleteBucketCommand({ Bucket: name }));
      expect(await failureOf(client.send(new HeadBucketCommand({ Bucket: name })))).toBe("NotFound 404");
    });

    it("of us-east-1 have no location constraint and may be created again", async () => {
      const { client } = target();
      const bucket = await createBucket(target());
      await put(target(), bucket, "kept", "x");
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      const location = await client.send(new GetBucketLocationCommand({ Bucket: bucket }));
      expect(location.LocationConstraint ?? "").toBe("");
      const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
      expect(KeyCount).toBe(1);
    });

    it("that hold objects are not deleted", async () => {
      const { client } = target();
      const bucket = await createBucket(target());
      await put(target(), bucket, "a", "x");
      const remove = () => failureOf(client.send(new DeleteBucketCommand({ Bucket: bucket })));
      expect(await remove()).toBe("BucketNotEmpty 409");
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: "a" }));
      expect(await remove()).toBe("succeeded");
    });

    it("that do not exist are named in the error of every operation", async () => {
      const { client } = target();
      const Bucket = `contract-${randomUUID()}`;
      const Key = "a";
      const outcomes = await Promise.all([
        failureOf(client.send(new ListObjectsV2Command({ Bucket }))),
        failureOf(put(target(), Bucket, Key, "x")),
        failureOf(client.send(new DeleteBucketCommand({ Bucket }))),
        failureOf(client.send(new DeleteObjectCommand({ Bucket, Key }))),
        failureOf(client.send(new CreateMultipartUploadCommand({ Bucket, Key }))),
        failureOf(client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: "none" }))),
      ]);
      expect(new Set(outcomes)).toEqual(new Set(["NoSuchBucket 404"]));
    });

    it("have names of S3's form", async () => {
      const { client } = target();
      for (const Bucket of ["ab", "Upper", "under_score", "two..dots", "-dash"]) {
        expect(await failureOf(client.send(new CreateBucketCommand({ Bucket })))).toBe("InvalidBucketName 400");
      }
    });

    it("carry tags", async () => {
      const { client } = target();
      const Bucket = await createBucket(target());
      const get = () => client.send(new GetBucketTaggingCommand({ Bucket }));
      expect(await failureOf(get())).toBe("NoSuchTagSet 404");
      const TagSet = [{ Key: "team", Value: "ci + batch" }];
      await client.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
      expect((await get()).TagSet).toEqual(TagSet);
      await client.send(new DeleteBucketTaggingCommand({ Bucket }));
      expect(await failureOf(get())).toBe("NoSuchTagSet 404");
    });
  });
}
