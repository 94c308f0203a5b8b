import type { OperationContext } from "./operation.ts";
import type { Queue } from "./queue.ts";
import { type Fields, readString } from "./request-fields.ts";

/** The URL of a queue, at this server's own address: the JS SDK sends to the host of the queue URL. */
export function buildQueueUrl(context: OperationContext, queue: Queue): string {
  return `${context.baseUrl}/${context.accountId}/${queue.identity.name}`;
}

/**
 * Finds the queue that a request names by its URL. Only the path counts, so that a URL which somebody noted before a
 * restart on another port still names the same queue; a bare queue name will do, as on AWS.
 */
export function requireQueue(context: OperationContext, fields: Fields): Queue {
  const queueUrl = readString(fields, "QueueUrl");
  const match = /^(?:https?:\/\/[^/]+\/(\d{12})\/)?([A-Za-z0-9_.-]+)$/.exec(queueUrl);
  const isOurs = match?.[1] === undefined || match[1] === context.accountId;
  return context.registry.require(isOurs ? match?.[2] : undefined);
}
