import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  TransactionCanceledException,
  TransactionConflictException,
} from "@aws-sdk/client-dynamodb";
import {
  BatchGetCommand,
  DynamoDBDocumentClient,
  TransactWriteCommand,
  type TransactWriteCommandInput,
  UpdateCommand,
  type UpdateCommandInput,
} from "@aws-sdk/lib-dynamodb";
import { unmarshall } from "@aws-sdk/util-dynamodb";
import { type AwsClientOptions, awsClientOptions, withoutCallLogging } from "../clients/aws-options.ts";
import { PlainJsonProtocol } from "../clients/plain-json.ts";
import { AppError } from "../domain/errors.ts";
import type { ItemKey } from "./keys.ts";

/** The table: its name and the client that reaches it. */
export interface Table {
  name: string;
  client: DynamoDBDocumentClient;
}

/** Items of one transaction at most (DynamoDB's limit). */
export const maxTransactionItems = 100;
/**
 * JSON bytes of the items that one transaction touches, written or only checked, at most: DynamoDB's limit is 4 MB, and
 * an item has more than its JSON.
 */
export const maxTransactionBytes = 3 * 1024 * 1024;
const maxBatchGetKeys = 100;
const conflictTries = 8;

export function createDynamoDbClient(options: AwsClientOptions = awsClientOptions): DynamoDBClient {
  return withoutCallLogging(new DynamoDBClient({ ...options, protocol: PlainJsonProtocol }));
}

/** A table by its name. */
export function createTable(client: DynamoDBClient, name: string): Table {
  return {
    name,
    client: DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } }),
  };
}

export type TransactItems = NonNullable<TransactWriteCommandInput["TransactItems"]>;

/** Reasons of a cancelled transaction that may be gone at the next try. */
const passingReasons = new Set(["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]);

/** How a transaction ended: written, or which of its items (by index) did not meet their condition. */
export type TransactionOutcome = { ok: true } | { ok: false; failedConditions: number[] };

/**
 * Writes all items or none. Conflicts with other writers of the same items are tried again with backoff; a condition
 * that does not hold is an outcome.
 */
export async function writeTransaction(table: Table, items: TransactItems): Promise<TransactionOutcome> {
  for (let tries = 1; ; tries++) {
    try {
      // A token for each: sent twice by the SDK, as after a broken connection, it is written once.
      const ClientRequestToken = randomUUID();
      await table.client.send(new TransactWriteCommand({ TransactItems: items, ClientRequestToken }));
      return { ok: true };
    } catch (error) {
      if (!(error instanceof TransactionCanceledException)) throw error;
      const codes = (error.CancellationReasons ?? []).map((reason) => reason.Code);
      const failedConditions = codes.flatMap((code, index) => (code === "ConditionalCheckFailed" ? [index] : []));
      if (failedConditions.length > 0) return { ok: false, failedConditions };
      const passing = codes.some((code) => code !== undefined && passingReasons.has(code));
      if (!passing || tries >= conflictTries) throw error;
      await sleep(Math.random() * 20 * 2 ** tries);
    }
  }
}

/** How a conditional update ended; `item` is the item after it, or the one that did not meet the condition (if any). */
export type UpdateOutcome = { ok: true; item: Record<string, unknown> } | { ok: false; item?: Record<string, unknown> };

/** Updates one item on a condition; a transaction under way on the same item is waited out. */
export async function updateItem(table: Table, input: Omit<UpdateCommandInput, "TableName">): Promise<UpdateOutcome> {
  for (let tries = 1; ; tries++) {
    try {
      const command = new UpdateCommand({
        ...input,
        TableName: table.name,
        ReturnValues: "ALL_NEW",
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      });
      const answer = await table.client.send(command);
      return { ok: true, item: answer.Attributes ?? {} };
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) {
        return error.Item ? { ok: false, item: unmarshall(error.Item) } : { ok: false };
      }
      if (!(error instanceof TransactionConflictException) || tries >= conflictTries) throw error;
      await sleep(Math.random() * 20 * 2 ** tries);
    }
  }
}

/**
 * Reads up to any number of items by key, consistently; those that do not exist are left out. Of items that may be large
 * only the attributes named are sent, where any are.
 */
export async function getItems(
  table: Table,
  keys: readonly ItemKey[],
  attributes?: readonly [string, ...string[]],
): Promise<Record<string, unknown>[]> {
  const projection = attributes ? { ProjectionExpression: ["pk", "sk", ...attributes].join(", ") } : {};
  const items: Record<string, unknown>[] = [];
  for (let start = 0; start < keys.length; start += maxBatchGetKeys) {
    let pending: Record<string, unknown>[] = keys.slice(start, start + maxBatchGetKeys);
    for (let tries = 1; pending.length > 0; tries++) {
      const request = { [table.name]: { Keys: pending, ConsistentRead: true, ...projection } };
      const answer = await table.client.send(new BatchGetCommand({ RequestItems: request }));
      items.push(...(answer.Responses?.[table.name] ?? []));
      pending = answer.UnprocessedKeys?.[table.name]?.Keys ?? [];
      if (pending.length > 0 && tries >= conflictTries) {
        throw new AppError("unavailable", `the table left ${pending.length} reads unanswered; try again`);
      }
      if (pending.length > 0) await sleep(Math.random() * 20 * 2 ** tries);
    }
  }
  return items;
}
