import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { taskBucket, taskBucketCount } from "../../../shared/domain/ids.ts";
import type { TaskMessage } from "../../../shared/domain/task-message.ts";
import { queueNames } from "../../../shared/infrastructure/queues.ts";
import type { RunningStack } from "../local-stack.ts";
import type { PlannedJob } from "./workload.ts";

/** Messages of a queue: those that wait, delayed ones included, and those that somebody has received. */
export interface QueueDepth {
  waiting: number;
  inFlight: number;
}

type PoolQueueName = "queue" | "deadLetterQueue";

/** The queues of a stack's pool behind the back of Sluice; to be closed. */
export class PoolQueues {
  readonly #sqs: SQSClient;
  readonly #names: Record<PoolQueueName, string>;
  /** What the queue was set up with, where that was changed. */
  #before: Record<string, string> | undefined;

  constructor({ aws }: Pick<RunningStack, "aws">, pool = "default") {
    const { accessKeyId, secretAccessKey } = aws;
    this.#sqs = new SQSClient({
      endpoint: aws.sqs,
      region: aws.region,
      credentials: { accessKeyId, secretAccessKey },
    });
    this.#names = queueNames("local", pool);
  }

  close(): void {
    this.#sqs.destroy();
  }

  async send(body: string, group = "chaos", name: PoolQueueName = "queue"): Promise<void> {
    const QueueUrl = await this.#url(name);
    await this.#sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: body, MessageGroupId: group }));
  }

  async countMessages(name: PoolQueueName): Promise<QueueDepth> {
    const QueueUrl = await this.#url(name);
    const { Attributes = {} } = await this.#sqs.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }),
    );
    return {
      waiting:
        Number(Attributes.ApproximateNumberOfMessages ?? 0) +
        Number(Attributes.ApproximateNumberOfMessagesDelayed ?? 0),
      inFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0),
    };
  }

  /** Receives what waits right now; it stays hidden for so many seconds. */
  async receive(name: PoolQueueName, hideSeconds: number): Promise<Message[]> {
    const QueueUrl = await this.#url(name);
    const received: Message[] = [];
    for (;;) {
      const { Messages = [] } = await this.#sqs.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: hideSeconds }),
      );
      if (Messages.length === 0) return received;
      received.push(...Messages);
    }
  }

  /** Takes away for good what waits; answers the bodies. */
  async lose(): Promise<string[]> {
    const QueueUrl = await this.#url("queue");
    const messages = await this.receive("queue", 30);
    for (const { ReceiptHandle } of messages)
      await this.#sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    return messages.map(({ Body = "" }) => Body);
  }

  /** Makes a message that nobody deletes go to the dead-letter queue within seconds, or (undefined) as it is set up to. */
  async hurryDeadLetters(hurry: { receives: number; hideSeconds: number } | undefined): Promise<void> {
    const QueueUrl = await this.#url("queue");
    const { Attributes = {} } = await this.#sqs.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["VisibilityTimeout", "RedrivePolicy"] }),
    );
    this.#before ??= Attributes;
    const policy = JSON.parse(this.#before.RedrivePolicy ?? "{}") as object;
    const changed = hurry && {
      VisibilityTimeout: `${hurry.hideSeconds}`,
      RedrivePolicy: JSON.stringify({ ...policy, maxReceiveCount: hurry.receives }),
    };
    await this.#sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: changed ?? this.#before }));
  }

  async #url(name: PoolQueueName): Promise<string> {
    const { QueueUrl } = await this.#sqs.send(new GetQueueUrlCommand({ QueueName: this.#names[name] }));
    return QueueUrl ?? "";
  }
}

/** The messages by which the tasks of a job are announced. */
export function announce(plan: PlannedJob, jobId: string): string[] {
  const buckets = taskBucketCount(plan.spec.tasks.length);
  return plan.spec.tasks.map(({ name, slots = 1 }) => {
    const message: TaskMessage = { v: 1, jobId, task: name, bucket: taskBucket(name, buckets), slots };
    return JSON.stringify(message);
  });
}
