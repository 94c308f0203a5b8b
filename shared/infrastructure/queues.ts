import { maxReceiveCount, timing } from "../domain/timing.ts";
import { functionLimits } from "./functions.ts";

/** The pool a job goes to that names none. */
export const defaultPool = "default";

const deadLetterSuffix = "-dead";

/** Name of a pool's queue and of its dead-letter queue. */
export function queueNames(stage: string, pool: string): { queue: string; deadLetterQueue: string } {
  const queue = `sluice-${stage}-${pool}`;
  return { queue, deadLetterQueue: nameDeadLetterQueue(queue) };
}

/** Name of the dead-letter queue that belongs to a pool's queue; of the queue's URL it makes the other's. */
export function nameDeadLetterQueue(queue: string): string {
  return `${queue}${deadLetterSuffix}`;
}

/** Tells by a queue's name or URL whether it is a dead-letter queue. */
export function isDeadLetterQueue(queue: string): boolean {
  return queue.endsWith(deadLetterSuffix);
}

/** Attributes of every pool queue, in SQS's own names and units; the redrive policy names the dead-letter queue. */
export const queueAttributes = {
  VisibilityTimeout: timing.visibilityTimeoutSeconds,
  MessageRetentionPeriod: timing.messageRetentionSeconds,
  ReceiveMessageWaitTimeSeconds: timing.receiveWaitSeconds,
} as const;

/** The function that works off the dead-letter queues. It names each message it could not work off, which stays there. */
export const deadLetterConsumer = { batchSize: 10 } as const;

export const deadLetterQueueAttributes = {
  MessageRetentionPeriod: timing.messageRetentionSeconds,
  /** Six times what the function may take, as Lambda's pollers want it; a message not worked off comes back so late. */
  VisibilityTimeout: 6 * functionLimits.deadLetters.timeoutSeconds,
} as const;

/** Where things end up that no function could handle, for a person to look at. */
export const failuresQueue = {
  name: (stage: string) => `sluice-${stage}-failures`,
  attributes: { MessageRetentionPeriod: timing.messageRetentionSeconds },
} as const;

/** The name of a queue at the end of its URL or ARN. */
export function queueNameOf(urlOrArn: string): string {
  return urlOrArn.slice(Math.max(urlOrArn.lastIndexOf("/"), urlOrArn.lastIndexOf(":")) + 1);
}

/** The redrive policy of a pool's queue, and of its dead-letter queue towards the queue of failures. */
export function redrivePolicy(deadLetterQueueArn: string): { deadLetterTargetArn: string; maxReceiveCount: number } {
  return { deadLetterTargetArn: deadLetterQueueArn, maxReceiveCount };
}
