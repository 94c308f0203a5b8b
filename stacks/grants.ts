import { objectPrefixes } from "../shared/domain/object-keys.ts";
import type { FunctionName } from "../shared/infrastructure/functions.ts";

/**
 * What a grant is given on: the table, one of its indexes, the bucket (to list it), a prefix in it, the pools'
 * queues and their dead-letter queues, the parameters that are secrets of jobs; "account" for actions that know no resources.
 */
export type GrantTarget =
  | "table"
  | `index:${string}`
  | "bucket"
  | `objects:${string}`
  | "pool-queues"
  | "dead-letter-queues"
  | "secrets"
  | "account";

/** Actions allowed on one target. */
export interface Grant {
  on: GrantTarget;
  actions: readonly string[];
}

/** Reads of S3 that may meet nothing: without the right to list, S3 answers "forbidden" where it means "not there". */
const tellMissing: Grant = { on: "bucket", actions: ["s3:ListBucket"] };

/** What chores are worked off with, by the stream's consumer and by the sweep that finds what this has lost. */
const choreGrants: readonly Grant[] = [
  {
    on: "table",
    actions: [
      "dynamodb:BatchGetItem",
      "dynamodb:DeleteItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
      "dynamodb:UpdateItem",
    ],
  },
  { on: `objects:${objectPrefixes.jobs}`, actions: ["s3:GetObject"] },
  { on: "pool-queues", actions: ["sqs:SendMessage"] },
];

/** Stored images, and those whose upload was begun. */
const removeImages = ["s3:AbortMultipartUpload", "s3:DeleteObject"];

/**
 * What the code of each function may do on AWS; what its triggers need comes with them. A test compares this with the
 * calls that the functions make in the integration run: nothing missing, nothing unused.
 */
export const grants: Record<FunctionName, readonly Grant[]> = {
  api: [
    {
      on: "table",
      actions: [
        "dynamodb:BatchGetItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
      ],
    },
    { on: "index:byActive", actions: ["dynamodb:Query"] },
    { on: "index:byDue", actions: ["dynamodb:Query"] },
    { on: "index:byList", actions: ["dynamodb:Query"] },
    { on: `objects:${objectPrefixes.jobs}`, actions: ["s3:GetObject", "s3:PutObject"] },
    {
      on: `objects:${objectPrefixes.images}`,
      actions: [...removeImages, "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
    },
    tellMissing,
    { on: "pool-queues", actions: ["sqs:GetQueueAttributes", "sqs:SendMessage"] },
    { on: "dead-letter-queues", actions: ["sqs:GetQueueAttributes"] },
    { on: "secrets", actions: ["ssm:DeleteParameter", "ssm:GetParameters", "ssm:PutParameter"] },
    // Names and dates of all parameters of the account, no values.
    { on: "account", actions: ["ssm:DescribeParameters"] },
  ],
  fold: [{ on: "table", actions: ["dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"] }],
  chores: choreGrants,
  deadLetters: [
    {
      on: "table",
      actions: ["dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
    },
    { on: "index:byActive", actions: ["dynamodb:Query"] },
    { on: "pool-queues", actions: ["sqs:SendMessage"] },
  ],
  sweep: [
    ...choreGrants,
    { on: "index:byDue", actions: ["dynamodb:Query"] },
    { on: "index:byList", actions: ["dynamodb:Query"] },
    { on: `objects:${objectPrefixes.images}`, actions: removeImages },
    tellMissing,
  ],
};
