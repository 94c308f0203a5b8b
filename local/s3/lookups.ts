import { s3Error } from "./errors.ts";
import type { StoredObject } from "./model.ts";
import type { Storage } from "./storage.ts";

/** Throws NoSuchBucket unless the bucket exists. */
export function requireBucket(storage: Storage, bucket: string): void {
  if (!storage.buckets.find(bucket)) throw s3Error("NoSuchBucket", undefined, { BucketName: bucket });
}

/** The object, or NoSuchBucket or NoSuchKey. */
export function requireObject(storage: Storage, bucket: string, key: string): StoredObject {
  const object = storage.objects.find(bucket, key);
  if (object) return object;
  requireBucket(storage, bucket);
  throw s3Error("NoSuchKey", undefined, { Key: key });
}
