import { s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { requireBucket, requireObject } from "./lookups.ts";
import type { Tag } from "./model.ts";
import { checkTags } from "./object-headers.ts";
import { buildDocument, element, type XmlElement } from "./xml.ts";

const maxBucketTags = 50;

/** GetObjectTagging: an object without tags has an empty set. */
export async function getObjectTagging(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  const { tags } = requireObject(storage, exchange.bucket, exchange.key);
  return { status: 200, body: buildTagging(tags) };
}

/** PutObjectTagging: replaces all tags; the object's time of modification stays. */
export async function putObjectTagging(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { storage } = context;
  requireObject(storage, exchange.bucket, exchange.key);
  const tags = checkTags(parseTags(await exchange.receiveDocument("Tagging", storage)));
  await replaceObjectTags(exchange, context, tags);
  return { status: 200 };
}

/** DeleteObjectTagging. */
export async function deleteObjectTagging(exchange: Exchange, context: S3Context): Promise<Answer> {
  await replaceObjectTags(exchange, context, []);
  return { status: 204 };
}

/** GetBucketTagging. */
export async function getBucketTagging(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  const json = storage.buckets.getSetting(exchange.bucket, "tagging");
  if (json === undefined) throw s3Error("NoSuchTagSet", undefined, { BucketName: exchange.bucket });
  return { status: 200, body: buildTagging(JSON.parse(json) as Tag[]) };
}

/** PutBucketTagging. */
export async function putBucketTagging(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  const tags = checkTags(parseTags(await exchange.receiveDocument("Tagging", storage)), maxBucketTags);
  await storage.write(() => {
    requireBucket(storage, exchange.bucket);
    storage.buckets.putSetting(exchange.bucket, "tagging", JSON.stringify(tags));
  });
  return { status: 204 };
}

/** DeleteBucketTagging. */
export async function deleteBucketTagging(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  await storage.write(() => {
    requireBucket(storage, exchange.bucket);
    storage.buckets.putSetting(exchange.bucket, "tagging", null);
  });
  return { status: 204 };
}

async function replaceObjectTags(exchange: Exchange, { storage }: S3Context, tags: readonly Tag[]): Promise<void> {
  await storage.write(() => {
    const object = requireObject(storage, exchange.bucket, exchange.key);
    storage.objects.putTags(object.objectId, tags);
  });
}

function parseTags(document: XmlElement): Tag[] {
  const set = document.child("TagSet");
  if (!set) throw s3Error("MalformedXML");
  return set.children("Tag").map((tag) => {
    const key = tag.text("Key");
    const value = tag.text("Value");
    if (key === undefined || value === undefined) throw s3Error("MalformedXML");
    return { key, value };
  });
}

function buildTagging(tags: readonly Tag[]): string {
  const set = tags.map(({ key, value }) => element("Tag", [element("Key", key), element("Value", value)]));
  return buildDocument("Tagging", [element("TagSet", set)]);
}
