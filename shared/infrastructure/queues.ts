import { maxReceiveCount, timing } from "../domain/timing.ts";

/** The pool a job goes to that names none. */
export const defaultPool = "default";

/** Name of a pool's queue and of its dead-letter queue. */
export function queueNames(stage: string, pool: string): { queue: string; deadLetterQueue: string } {
  const queue = `sluice-${stage}-${pool}`;
  return { queue, deadLetterQueue: `${queue}-dead` };
}

/** Attributes of every pool queue, in SQS's own names and units; the redrive policy names the dead-letter queue. */
export const queueAttributes = {
  VisibilityTimeout: timing.visibilityTimeoutSeconds,
  MessageRetentionPeriod: timing.messageRetentionSeconds,
  ReceiveMessageWaitTimeSeconds: timing.receiveWaitSeconds,
} as const;

export const deadLetterQueueAttributes = { MessageRetentionPeriod: timing.messageRetentionSeconds } as const;

/** The redrive policy of a pool's queue. */
export function redrivePolicy(deadLetterQueueArn: string): { deadLetterTargetArn: string; maxReceiveCount: number } {
  return { deadLetterTargetArn: deadLetterQueueArn, maxReceiveCount };
}
