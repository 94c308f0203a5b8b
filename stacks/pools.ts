import {
  deadLetterQueueAttributes,
  defaultPool,
  failuresQueue,
  queueAttributes,
  queueNames,
  redrivePolicy,
} from "../shared/infrastructure/queues.ts";
import type { Stage } from "./stage.ts";

/** The pools of a stage: workers of one shape that share a queue. */
export const poolNames = [defaultPool] as const;

/** A pool's queues. */
export interface PoolQueues {
  name: string;
  queue: sst.aws.Queue;
  deadLetterQueue: sst.aws.Queue;
}

/**
 * Where things end up that no function could handle: batches of the stream, failed calls of schedules, dead letters
 * that could not be recorded. Nobody takes from it by itself; an alarm tells that something is in it.
 */
export function createFailuresQueue(stage: Stage): sst.aws.Queue {
  return createQueue("Failures", failuresQueue.name(stage.name), failuresQueue.attributes);
}

/** One queue and one dead-letter queue per pool. */
export function createPools(stage: Stage, failures: sst.aws.Queue): PoolQueues[] {
  return poolNames.map((name) => {
    const names = queueNames(stage.name, name);
    const component = name.replace(/(^|[^a-z0-9]+)([a-z0-9])/g, (_, _gap, letter: string) => letter.toUpperCase());
    const deadLetterQueue = createQueue(
      `Dead${component}`,
      names.deadLetterQueue,
      deadLetterQueueAttributes,
      failures.arn,
    );
    const queue = createQueue(`Pool${component}`, names.queue, queueAttributes, deadLetterQueue.arn);
    return { name, queue, deadLetterQueue };
  });
}

/** SQS's own names of what a queue may be given. */
type Attributes = Partial<
  Record<"VisibilityTimeout" | "MessageRetentionPeriod" | "ReceiveMessageWaitTimeSeconds", number>
>;

function createQueue(
  component: string,
  name: string,
  attributes: Attributes,
  deadLetterQueueArn?: $util.Output<string>,
): sst.aws.Queue {
  return new sst.aws.Queue(component, {
    transform: {
      queue: (args) => {
        args.name = name;
        args.sqsManagedSseEnabled = true;
        const { VisibilityTimeout, MessageRetentionPeriod, ReceiveMessageWaitTimeSeconds } = attributes;
        if (VisibilityTimeout !== undefined) args.visibilityTimeoutSeconds = VisibilityTimeout;
        if (MessageRetentionPeriod !== undefined) args.messageRetentionSeconds = MessageRetentionPeriod;
        if (ReceiveMessageWaitTimeSeconds !== undefined) args.receiveWaitTimeSeconds = ReceiveMessageWaitTimeSeconds;
        if (deadLetterQueueArn) {
          args.redrivePolicy = deadLetterQueueArn.apply((arn) => JSON.stringify(redrivePolicy(arn)));
        }
      },
    },
  });
}
