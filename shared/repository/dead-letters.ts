import { PutCommand, QueryCommand } from "@aws-sdk/lib-dynamodb";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import { deadLetterKey, deadLetterListEntry, type ItemKey } from "./keys.ts";
import { getItems, type Table, updateItem } from "./table.ts";

/** A message that was received too often, kept with all that was known of it when it was taken from its queue. */
export interface DeadLetterItem {
  messageId: string;
  pool: string;
  /** As it was received, up to `maxBodyBytes`. */
  body: string;
  /** Bytes of the whole body. */
  bodyBytes: number;
  /** Receives as the queue counts them, approximately. */
  receiveCount: number;
  sentAt: string;
  firstReceivedAt: string;
  recordedAt: string;
  /** What was wrong with it, as a sentence. */
  detail: string;
  /** Where its body names a task. */
  task?: { jobId: string; bucket: number; task: string };
  redrivenAt?: string;
}

/** A body that is longer is cut: an item takes 400 KB. What Sluice sends has a few hundred bytes. */
const maxBodyBytes = 256 * 1024;
const ttlSeconds = 30 * 24 * 3600;
const messageIdPattern = /^[\w-]{1,100}$/;

/** Reads and writes what became of messages that could not be worked off. They are kept for 30 days. */
export interface DeadLetterRepository {
  /** Writes a record; of one message there is one, however often it is taken. */
  put(letter: Omit<DeadLetterItem, "bodyBytes">): Promise<void>;
  /** Those of a pool that exist, in the order of the ids. */
  getMany(pool: string, messageIds: readonly string[]): Promise<DeadLetterItem[]>;
  /** One page of a pool's, the newest first. */
  list(page: DeadLetterPage): Promise<{ letters: DeadLetterItem[]; cursor?: string }>;
  /** How many of a pool's newest records, of this many at most, were not redriven; their bodies are not read. */
  countOpen(pool: string, limit: number): Promise<number>;
  noteRedriven(letter: DeadLetterItem, nowMs: number): Promise<void>;
}

export function createDeadLetterRepository(table: Table): DeadLetterRepository {
  return {
    async put(letter) {
      const bytes = Buffer.from(letter.body);
      const item: DeadLetterItem = {
        ...letter,
        body: bytes.length > maxBodyBytes ? bytes.subarray(0, maxBodyBytes).toString("utf8") : letter.body,
        bodyBytes: bytes.length,
      };
      const { pool, messageId, recordedAt } = letter;
      const Item = {
        ...deadLetterKey(pool, messageId),
        ...deadLetterListEntry(pool, recordedAt, messageId),
        type: "dead_letter",
        ...item,
        expiresAt: Math.floor(Date.parse(recordedAt) / 1000) + ttlSeconds,
      };
      await table.client.send(new PutCommand({ TableName: table.name, Item }));
    },
    async getMany(pool, messageIds) {
      const ids = [...new Set(messageIds)].filter((messageId) => messageIdPattern.test(messageId));
      return readInOrder(
        table,
        ids.map((messageId) => deadLetterKey(pool, messageId)),
      );
    },
    list: (page) => listDeadLetters(table, page),
    async countOpen(pool, limit) {
      const { keys } = await queryDeadLetters(table, { pool, limit });
      const letters = await getItems(table, keys, ["redrivenAt"]);
      return letters.filter(({ redrivenAt }) => redrivenAt === undefined).length;
    },
    async noteRedriven({ pool, messageId }, nowMs) {
      await updateItem(table, {
        Key: deadLetterKey(pool, messageId),
        UpdateExpression: "SET redrivenAt = :at",
        ConditionExpression: "attribute_exists(pk)",
        ExpressionAttributeValues: { ":at": new Date(nowMs).toISOString() },
      });
    },
  };
}

interface DeadLetterPage {
  pool: string;
  limit: number;
  cursor?: string | undefined;
}

async function listDeadLetters(
  table: Table,
  page: DeadLetterPage,
): Promise<{ letters: DeadLetterItem[]; cursor?: string }> {
  const { keys, ...more } = await queryDeadLetters(table, page);
  return { letters: await readInOrder(table, keys), ...more };
}

async function queryDeadLetters(
  table: Table,
  { pool, limit, cursor }: DeadLetterPage,
): Promise<{ keys: ItemKey[]; cursor?: string }> {
  const list = `dead letters ${pool}`;
  const after = decodeCursor(list, cursor, readPlace);
  const { listPk } = deadLetterListEntry(pool, "", "");
  const answer = await table.client.send(
    new QueryCommand({
      TableName: table.name,
      IndexName: "byList",
      KeyConditionExpression: "listPk = :pk",
      ExpressionAttributeValues: { ":pk": listPk },
      ScanIndexForward: false,
      Limit: limit,
      ...(after
        ? {
            ExclusiveStartKey: {
              ...deadLetterKey(pool, after.messageId),
              ...deadLetterListEntry(pool, ...placeOf(after)),
            },
          }
        : {}),
    }),
  );
  const keys = (answer.Items ?? []).map((item): ItemKey => ({ pk: String(item.pk), sk: String(item.sk) }));
  const last = answer.LastEvaluatedKey?.listSk;
  return last === undefined ? { keys } : { keys, cursor: encodeCursor(list, String(last).split("#")) };
}

interface Place {
  recordedAt: string;
  messageId: string;
}

function placeOf({ recordedAt, messageId }: Place): [string, string] {
  return [recordedAt, messageId];
}

function readPlace([recordedAt, messageId]: readonly unknown[]): Place | undefined {
  if (typeof recordedAt !== "string" || !/^[\d:.TZ-]{1,40}$/.test(recordedAt)) return undefined;
  return typeof messageId === "string" && messageIdPattern.test(messageId) ? { recordedAt, messageId } : undefined;
}

async function readInOrder(table: Table, keys: readonly ItemKey[]): Promise<DeadLetterItem[]> {
  const items = await getItems(table, keys);
  const byPk = new Map(items.map((item) => [item.pk, item as unknown as DeadLetterItem]));
  return keys.flatMap((key) => byPk.get(key.pk) ?? []);
}
