import { s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { ownerElement } from "./list-operations.ts";
import { requireBucket } from "./lookups.ts";
import { buildDocument, element, formatTime } from "./xml.ts";

/** ListBuckets. */
export async function listBuckets(_exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  const buckets = storage.buckets
    .list()
    .map(({ bucket, createdMs }) =>
      element("Bucket", [element("Name", bucket), element("CreationDate", formatTime(createdMs))]),
    );
  return { status: 200, body: buildDocument("ListAllMyBucketsResult", [ownerElement(), element("Buckets", buckets)]) };
}

/** CreateBucket. Creating it again is refused, except in us-east-1, where S3 has always accepted it. */
export async function createBucket(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { storage, region } = context;
  const { bucket } = exchange;
  if (!isBucketName(bucket)) throw s3Error("InvalidBucketName", undefined, { BucketName: bucket });
  if (Number(exchange.header("content-length") ?? 0) > 0) {
    const document = await exchange.receiveDocument("CreateBucketConfiguration", storage);
    const constraint = document.text("LocationConstraint") ?? region;
    if (constraint !== region) throw s3Error("IllegalLocationConstraintException");
  }
  await storage.write(() => {
    if (!storage.buckets.find(bucket)) storage.buckets.create(bucket, context.now());
    else if (region !== "us-east-1") throw s3Error("BucketAlreadyOwnedByYou", undefined, { BucketName: bucket });
  });
  return { status: 200, headers: { location: `/${bucket}` } };
}

/** HeadBucket. */
export async function headBucket(exchange: Exchange, { storage, region }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  return { status: 200, headers: { "x-amz-bucket-region": region } };
}

/** GetBucketLocation; us-east-1 is answered, as ever, with nothing. */
export async function getBucketLocation(exchange: Exchange, { storage, region }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  const body = buildDocument("LocationConstraint", [region === "us-east-1" ? "" : region]);
  return { status: 200, body };
}

/** DeleteBucket: only without objects; uploads that are still open go with it. */
export async function deleteBucket(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  const { bucket } = exchange;
  await storage.write((transaction) => {
    requireBucket(storage, bucket);
    if (!storage.objects.isEmpty(bucket)) throw s3Error("BucketNotEmpty", undefined, { BucketName: bucket });
    const all = { from: "", inclusive: true, before: undefined };
    // Removing moves the first page on, so the loop ends with the last upload.
    for (;;) {
      const uploads = storage.uploads.list(bucket, all, 1000);
      if (uploads.length === 0) break;
      for (const { uploadId } of uploads) storage.removeUpload(transaction, uploadId);
    }
    storage.buckets.remove(bucket);
  });
  return { status: 204 };
}

function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes("..") && !/^\d+\.\d+\.\d+\.\d+$/.test(name);
}
