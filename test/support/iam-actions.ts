import { objectPrefixes } from "../../shared/domain/object-keys.ts";
import { isDeadLetterQueue } from "../../shared/infrastructure/queues.ts";
import type { GrantTarget } from "../../stacks/grants.ts";
import type { CloudRequest } from "./control-plane-requests.ts";

/** An action of IAM on what it is done on, as a grant names both: `dynamodb:Query on index:byDue`. */
export type IamAction = `${string} on ${GrantTarget}`;

const onTable = (action: string): IamAction => `dynamodb:${action} on table`;

/** What a part of a transaction is to IAM. */
const transactionActions: Record<string, string> = {
  Put: "PutItem",
  Update: "UpdateItem",
  Delete: "DeleteItem",
  ConditionCheck: "ConditionCheckItem",
};

/** What IAM calls an operation on an object, where that differs. */
const objectActions: Record<string, string> = {
  HeadObject: "GetObject",
  CreateMultipartUpload: "PutObject",
  CompleteMultipartUpload: "PutObject",
  ListParts: "ListMultipartUploadParts",
};

/** The permissions that one request to AWS needs; `missing` says that it met nothing. */
export function listIamActions({ service, operation, input }: CloudRequest, missing: boolean): IamAction[] {
  switch (service) {
    case "dynamodb":
      return listDynamoDbActions(operation, input);
    case "sqs": {
      const queues = isDeadLetterQueue(String(input.QueueUrl)) ? "dead-letter-queues" : "pool-queues";
      // IAM knows no batches.
      return [`sqs:${operation.replace(/Batch$/, "")} on ${queues}`];
    }
    case "s3":
      return listS3Actions(operation, input, missing);
  }
}

function listDynamoDbActions(operation: string, input: Record<string, unknown>): IamAction[] {
  if (operation === "TransactWriteItems") {
    const items = (input.TransactItems ?? []) as Record<string, unknown>[];
    return items.flatMap((item) => Object.keys(item).map((kind) => onTable(transactionActions[kind] ?? kind)));
  }
  if (typeof input.IndexName === "string") return [`dynamodb:${operation} on index:${input.IndexName}`];
  return [onTable(operation)];
}

function listS3Actions(operation: string, input: Record<string, unknown>, missing: boolean): IamAction[] {
  const action = objectActions[operation] ?? operation;
  if (action.startsWith("List") && input.Key === undefined) return ["s3:ListBucket on bucket"];
  const key = String(input.Key);
  const prefix = Object.values(objectPrefixes).find((known) => key.startsWith(known));
  if (prefix === undefined) throw new Error(`${key} is under no prefix of the bucket`);
  // Without the right to list, S3 answers "forbidden" where it means "not there".
  return [`s3:${action} on objects:${prefix}`, ...(missing ? (["s3:ListBucket on bucket"] as const) : [])];
}
