import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb";
import { DeleteCommand, PutCommand, QueryCommand } from "@aws-sdk/lib-dynamodb";
import { digestPattern } from "../jobfile/job-spec.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import { dueEntry, imageBlobItemKey, imageBlobListEntry, imageRetentionKey } from "./keys.ts";
import { getItems, type Table, updateItem } from "./table.ts";

/**
 * A blob of shipped images: `uploading → stored → removing`, then there is no item. `key` is its object's, one for each
 * way through these states. Of a blob that is being uploaded in parts, `uploadId` names the upload.
 */
export interface ImageBlob {
  digest: string;
  state: "uploading" | "stored" | "removing";
  key: string;
  /** Of the object; 0 until it is stored. */
  bytes: number;
  uploadId?: string;
  /** When it was last asked for, or needed by a job; exact to `touchAfterMs`. ISO 8601. */
  usedAt: string;
}

/** What the list of blobs tells of one. */
export type ListedBlob = Pick<ImageBlob, "digest" | "bytes" | "usedAt">;

/** A use so soon after the last one is not written down. */
export const touchAfterMs = 6 * 3600_000;

/** Reads and writes what is known of the blobs of shipped images. Every write is on the condition of what was read. */
export interface ImageBlobRepository {
  /** Those that there are, by digest. */
  getMany(digests: readonly string[]): Promise<Map<string, ImageBlob>>;
  /** Writes a blob that is about to be uploaded; false where there is one already. */
  create(blob: { digest: string; key: string; nowMs: number }): Promise<boolean>;
  /** Names the upload in parts of a blob in place of the one it had; false where somebody else has done so. */
  noteUpload(blob: ImageBlob, uploadId: string): Promise<boolean>;
  /** Notes that a blob's object is there; false where the blob is another by now. */
  noteStored(blob: ImageBlob, bytes: number, nowMs: number): Promise<boolean>;
  /** Notes that a blob is used, unless that was noted not long ago; false where it is removed meanwhile. */
  touch(blob: ImageBlob, nowMs: number): Promise<boolean>;
  /** Takes a blob out of use before its object is removed; false where it was used since it was read. */
  condemn(blob: ImageBlob): Promise<boolean>;
  /** Forgets a condemned blob whose object is gone. */
  forget(blob: ImageBlob): Promise<void>;
  /** One page of all blobs, the one that was unused longest first. It may be a moment behind. */
  list(page: { limit: number; cursor?: string }): Promise<{ blobs: ListedBlob[]; cursor?: string }>;
  /** Brings the retention of images before the sweep at this time; without `move` only where no time is set. */
  scheduleRetention(atMs: number, options: { move: boolean }): Promise<void>;
}

export function createImageBlobRepository(table: Table): ImageBlobRepository {
  return {
    async getMany(digests) {
      const items = await getItems(table, [...new Set(digests)].map(imageBlobItemKey));
      const blobs = items as unknown as ImageBlob[];
      return new Map(blobs.map((blob) => [blob.digest, blob]));
    },
    create: (blob) => createBlob(table, blob),
    async noteUpload({ digest, key, uploadId: seen }, uploadId) {
      const outcome = await updateItem(table, {
        Key: imageBlobItemKey(digest),
        UpdateExpression: "SET uploadId = :next",
        ConditionExpression: `#key = :key AND #state = :uploading AND ${seen === undefined ? "attribute_not_exists(uploadId)" : "uploadId = :seen"}`,
        ExpressionAttributeNames: { "#key": "key", "#state": "state" },
        ExpressionAttributeValues: {
          ":next": uploadId,
          ":key": key,
          ":uploading": "uploading",
          ...(seen === undefined ? {} : { ":seen": seen }),
        },
      });
      return outcome.ok;
    },
    async noteStored({ digest, key }, bytes, nowMs) {
      const usedAt = new Date(nowMs).toISOString();
      const outcome = await updateItem(table, {
        Key: imageBlobItemKey(digest),
        UpdateExpression: "SET #state = :stored, bytes = :bytes, usedAt = :usedAt, listSk = :listSk REMOVE uploadId",
        ConditionExpression: "#key = :key AND #state IN (:uploading, :stored)",
        ExpressionAttributeNames: { "#key": "key", "#state": "state" },
        ExpressionAttributeValues: {
          ":stored": "stored",
          ":uploading": "uploading",
          ":key": key,
          ":bytes": bytes,
          ":usedAt": usedAt,
          ":listSk": imageBlobListEntry(usedAt, digest, bytes).listSk,
        },
      });
      return outcome.ok;
    },
    touch: (blob, nowMs) => touchBlob(table, blob, nowMs),
    async condemn({ digest, key, state, usedAt }) {
      const outcome = await updateItem(table, {
        Key: imageBlobItemKey(digest),
        UpdateExpression: "SET #state = :removing",
        // Whoever uses the blob from now on finds it gone; whoever did since it was read has moved `usedAt`.
        ConditionExpression: "#key = :key AND #state = :state AND usedAt = :usedAt",
        ExpressionAttributeNames: { "#key": "key", "#state": "state" },
        ExpressionAttributeValues: { ":removing": "removing", ":key": key, ":state": state, ":usedAt": usedAt },
      });
      return outcome.ok;
    },
    async forget({ digest, key }) {
      try {
        await table.client.send(
          new DeleteCommand({
            TableName: table.name,
            Key: imageBlobItemKey(digest),
            ConditionExpression: "#key = :key AND #state = :removing",
            ExpressionAttributeNames: { "#key": "key", "#state": "state" },
            ExpressionAttributeValues: { ":key": key, ":removing": "removing" },
          }),
        );
      } catch (error) {
        // Somebody else was faster, and the blob may even be shipped again.
        if (!(error instanceof ConditionalCheckFailedException)) throw error;
      }
    },
    list: (page) => listBlobs(table, page),
    async scheduleRetention(atMs, { move }) {
      const due = dueEntry(imageRetentionKey.pk, atMs);
      const put = (name: string) => (move ? `:${name}` : `if_not_exists(${name}, :${name})`);
      await updateItem(table, {
        Key: imageRetentionKey,
        UpdateExpression: `SET duePk = :duePk, dueAt = ${put("dueAt")}`,
        ExpressionAttributeValues: { ":duePk": due.duePk, ":dueAt": due.dueAt },
      });
    },
  };
}

async function createBlob(
  table: Table,
  { digest, key, nowMs }: { digest: string; key: string; nowMs: number },
): Promise<boolean> {
  const blob: ImageBlob = { digest, state: "uploading", key, bytes: 0, usedAt: new Date(nowMs).toISOString() };
  const Item = {
    ...imageBlobItemKey(digest),
    ...imageBlobListEntry(blob.usedAt, digest, blob.bytes),
    type: "image_blob",
    ...blob,
  };
  try {
    const ConditionExpression = "attribute_not_exists(pk)";
    await table.client.send(new PutCommand({ TableName: table.name, Item, ConditionExpression }));
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return false;
    throw error;
  }
}

async function touchBlob(table: Table, blob: ImageBlob, nowMs: number): Promise<boolean> {
  const { digest, key, state, bytes } = blob;
  if (state === "removing") return false;
  if (nowMs - Date.parse(blob.usedAt) < touchAfterMs) return true;
  const usedAt = new Date(nowMs).toISOString();
  const outcome = await updateItem(table, {
    Key: imageBlobItemKey(digest),
    UpdateExpression: "SET usedAt = :usedAt, listSk = :listSk",
    ConditionExpression: "#key = :key AND #state = :state",
    ExpressionAttributeNames: { "#key": "key", "#state": "state" },
    ExpressionAttributeValues: {
      ":usedAt": usedAt,
      ":listSk": imageBlobListEntry(usedAt, digest, bytes).listSk,
      ":key": key,
      ":state": state,
    },
  });
  return outcome.ok;
}

async function listBlobs(
  table: Table,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<{ blobs: ListedBlob[]; cursor?: string }> {
  const list = "image blobs";
  const after = decodeCursor(list, cursor, ([entry]) => (typeof entry === "string" ? parseEntry(entry) : undefined));
  const { listPk } = imageBlobListEntry("", "", 0);
  const answer = await table.client.send(
    new QueryCommand({
      TableName: table.name,
      IndexName: "byList",
      KeyConditionExpression: "listPk = :pk",
      ExpressionAttributeValues: { ":pk": listPk },
      Limit: limit,
      ...(after
        ? {
            ExclusiveStartKey: {
              ...imageBlobItemKey(after.digest),
              ...imageBlobListEntry(after.usedAt, after.digest, after.bytes),
            },
          }
        : {}),
    }),
  );
  const blobs = (answer.Items ?? []).flatMap((item) => parseEntry(String(item.listSk)) ?? []);
  const last = answer.LastEvaluatedKey?.listSk;
  return last === undefined ? { blobs } : { blobs, cursor: encodeCursor(list, [String(last)]) };
}

function parseEntry(entry: string): ListedBlob | undefined {
  const [usedAt = "", digest = "", bytes = ""] = entry.split("#");
  const isEntry = /^[\d:.TZ-]{1,40}$/.test(usedAt) && digestPattern.test(digest) && /^\d{1,16}$/.test(bytes);
  return isEntry ? { usedAt, digest, bytes: Number(bytes) } : undefined;
}
