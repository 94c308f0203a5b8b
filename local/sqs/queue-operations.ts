import { SqsError } from "./errors.ts";
import type { Operation, OperationContext } from "./operation.ts";
import type { Queue } from "./queue.ts";
import { READABLE_ATTRIBUTES } from "./queue-attributes.ts";
import { buildQueueUrl, requireQueue } from "./queue-url.ts";
import {
  type Fields,
  readOptionalInteger,
  readOptionalString,
  readString,
  readStringList,
  readStringMap,
} from "./request-fields.ts";

const PURGE_INTERVAL_MS = 60_000;
const MAX_LISTED_QUEUES = 1_000;

const createQueue: Operation = (context, fields) => {
  const name = readString(fields, "QueueName");
  // The model spells this one parameter in lower case.
  const tags = { ...readStringMap(fields, "Tags"), ...readStringMap(fields, "tags") };
  const queue = context.registry.create(name, readStringMap(fields, "Attributes"), tags);
  return { body: { QueueUrl: buildQueueUrl(context, queue) } };
};

const deleteQueue: Operation = (context, fields) => {
  const queue = requireQueue(context, fields);
  context.registry.delete(queue);
  context.moveTasks.forget(queue.identity.arn);
  return {};
};

const getQueueUrl: Operation = (context, fields) => {
  const name = readString(fields, "QueueName");
  const owner = readOptionalString(fields, "QueueOwnerAWSAccountId");
  const isOurs = owner === undefined || owner === context.accountId;
  return { body: { QueueUrl: buildQueueUrl(context, context.registry.require(isOurs ? name : undefined)) } };
};

const listQueues: Operation = (context, fields) => {
  const page = listPage(fields, (after) =>
    context.registry.list({ prefix: readOptionalString(fields, "QueueNamePrefix"), after }),
  );
  if (page.queues.length === 0) return { body: {} };
  const QueueUrls = page.queues.map((queue) => buildQueueUrl(context, queue));
  return { body: { QueueUrls, NextToken: page.nextToken } };
};

const listDeadLetterSourceQueues: Operation = (context, fields) => {
  const target = requireQueue(context, fields);
  const page = listPage(fields, (after) =>
    context.registry.listDeadLetterSources(target).filter(({ identity }) => identity.name > after),
  );
  const queueUrls = page.queues.map((queue) => buildQueueUrl(context, queue));
  return { body: { queueUrls, NextToken: page.nextToken } };
};

/** Cuts a list into pages. There are pages only where the client asks for a size, as on AWS. */
function listPage(
  fields: Fields,
  list: (after: string) => Queue[],
): { queues: Queue[]; nextToken: string | undefined } {
  const maxResults = readOptionalInteger(fields, "MaxResults");
  if (maxResults !== undefined && (maxResults < 1 || maxResults > MAX_LISTED_QUEUES)) {
    throw new SqsError("InvalidParameterValueException", `MaxResults must be between 1 and ${MAX_LISTED_QUEUES}.`);
  }
  const token = readOptionalString(fields, "NextToken");
  const all = list(token === undefined ? "" : Buffer.from(token, "base64url").toString("utf8"));
  const queues = all.slice(0, maxResults ?? MAX_LISTED_QUEUES);
  const last = queues.at(-1);
  const hasMore = maxResults !== undefined && last !== undefined && queues.length < all.length;
  return { queues, nextToken: hasMore ? Buffer.from(last.identity.name).toString("base64url") : undefined };
}

const getQueueAttributes: Operation = (context, fields) => {
  const queue = requireQueue(context, fields);
  const names = readStringList(fields, "AttributeNames");
  const unknown = names.find((name) => name !== "All" && !READABLE_ATTRIBUTES.has(name));
  if (unknown !== undefined) throw new SqsError("InvalidAttributeName", `Unknown Attribute ${unknown}.`);
  const all = describeQueue(queue);
  const wanted = Object.entries(all).filter(([name]) => names.includes("All") || names.includes(name));
  return { body: wanted.length === 0 ? {} : { Attributes: Object.fromEntries(wanted) } };
};

function describeQueue(queue: Queue): Record<string, string> {
  queue.releaseDue();
  const { ready, delayed, inFlight } = queue.counts;
  return {
    ...queue.attributes,
    QueueArn: queue.identity.arn,
    CreatedTimestamp: String(Math.floor(queue.identity.createdAtMs / 1_000)),
    LastModifiedTimestamp: String(Math.floor(queue.modifiedAtMs / 1_000)),
    ApproximateNumberOfMessages: String(ready),
    ApproximateNumberOfMessagesDelayed: String(delayed),
    ApproximateNumberOfMessagesNotVisible: String(inFlight),
  };
}

const setQueueAttributes: Operation = (context, fields) => {
  context.registry.setAttributes(requireQueue(context, fields), readStringMap(fields, "Attributes"));
  return {};
};

const purgeQueue: Operation = (context: OperationContext, fields) => {
  const queue = requireQueue(context, fields);
  if (queue.purgedAtMs !== undefined && queue.purgedAtMs + PURGE_INTERVAL_MS > context.now()) {
    throw new SqsError(
      "PurgeQueueInProgress",
      `Only one PurgeQueue operation on ${queue.identity.name} is allowed every 60 seconds.`,
    );
  }
  context.registry.purge(queue);
  return {};
};

const tagQueue: Operation = (context, fields) => {
  const queue = requireQueue(context, fields);
  context.registry.setTags(queue, { ...queue.tags, ...readStringMap(fields, "Tags") });
  return {};
};

const untagQueue: Operation = (context, fields) => {
  const queue = requireQueue(context, fields);
  const gone = new Set(readStringList(fields, "TagKeys"));
  context.registry.setTags(queue, Object.fromEntries(Object.entries(queue.tags).filter(([key]) => !gone.has(key))));
  return {};
};

const listQueueTags: Operation = (context, fields) => {
  const { tags } = requireQueue(context, fields);
  return { body: Object.keys(tags).length === 0 ? {} : { Tags: tags } };
};

/** The operations on queues as a whole. */
export const QUEUE_OPERATIONS: Readonly<Record<string, Operation>> = {
  CreateQueue: createQueue,
  DeleteQueue: deleteQueue,
  GetQueueAttributes: getQueueAttributes,
  GetQueueUrl: getQueueUrl,
  ListDeadLetterSourceQueues: listDeadLetterSourceQueues,
  ListQueues: listQueues,
  ListQueueTags: listQueueTags,
  PurgeQueue: purgeQueue,
  SetQueueAttributes: setQueueAttributes,
  TagQueue: tagQueue,
  UntagQueue: untagQueue,
};
