import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  type Message,
  type QueueAttributeName,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SendMessageBatchCommand,
  SendMessageCommand,
  type SendMessageCommandInput,
  SQSClient,
  type SQSServiceException,
} from "@aws-sdk/client-sqs";

/** A server that the cases run against. */
export type SqsTarget = {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
};

/** One behaviour, checked through the SDK; each runs on queues of its own, so that all can run at once. */
export type SqsCase = { readonly title: string; readonly run: (session: SqsSession) => Promise<void> };

type Attributes = Partial<Record<QueueAttributeName, string>>;

/** Well above what any server takes to do what it does at once, well below the long waits that the cases ask for. */
export const PROMPTLY_MS = 8_000;

let nameCount = 0;

/** Makes a queue name that no other case and no other run uses. */
export function uniqueName(suffix = ""): string {
  nameCount += 1;
  return `case-${process.pid}-${Date.now().toString(36)}-${nameCount}${suffix}`;
}

/** An SDK client for a target; without retries unless they are wanted, so that a case sees each answer. */
export function openClient(target: SqsTarget, maxAttempts = 1): SQSClient {
  const { endpoint, region, credentials } = target;
  return new SQSClient({ endpoint, region, credentials, maxAttempts });
}

/** What a case works with: a client, and short ways for what every case does. */
export class SqsSession {
  readonly client: SQSClient;
  readonly #queueUrls: string[] = [];

  constructor(client: SQSClient) {
    this.client = client;
  }

  async createQueue(Attributes: Attributes = {}): Promise<string> {
    const fifo = Attributes.FifoQueue === "true";
    return this.createNamedQueue(uniqueName(fifo ? ".fifo" : ""), Attributes);
  }

  async createNamedQueue(QueueName: string, Attributes: Attributes = {}): Promise<string> {
    const { QueueUrl } = await this.client.send(new CreateQueueCommand({ QueueName, Attributes }));
    if (QueueUrl === undefined) throw new Error("CreateQueue answered without a URL");
    this.#queueUrls.push(QueueUrl);
    return QueueUrl;
  }

  async send(QueueUrl: string, MessageBody: string, more: Partial<SendMessageCommandInput> = {}) {
    return this.client.send(new SendMessageCommand({ QueueUrl, MessageBody, ...more }));
  }

  /** Sends many messages in batches of ten. */
  async sendAll(QueueUrl: string, bodies: readonly string[], more: Partial<SendMessageCommandInput> = {}) {
    for (let start = 0; start < bodies.length; start += 10) {
      const Entries = bodies.slice(start, start + 10).map((MessageBody, index) => ({
        Id: `${index}`,
        MessageBody,
        ...more,
      }));
      const { Failed } = await this.client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
      if (Failed !== undefined && Failed.length > 0) throw new Error(`not sent: ${JSON.stringify(Failed)}`);
    }
  }

  /** One receive, as it is answered; with all attributes unless others are asked for. */
  async receive(
    QueueUrl: string,
    more: Partial<ReceiveMessageCommandInput> = {},
    abort?: AbortSignal,
  ): Promise<Message[]> {
    const input = { QueueUrl, MessageSystemAttributeNames: ["All" as const], MessageAttributeNames: ["All"], ...more };
    const options = abort === undefined ? {} : { abortSignal: abort };
    const { Messages } = await this.client.send(new ReceiveMessageCommand(input), options);
    return Messages ?? [];
  }

  /** Waits for exactly one message. */
  async receiveOne(QueueUrl: string, more: Partial<ReceiveMessageCommandInput> = {}): Promise<ReceivedOne> {
    const [message] = await this.receive(QueueUrl, { WaitTimeSeconds: 5, ...more });
    if (message?.ReceiptHandle === undefined) throw new Error("no message came");
    return { ...message, ReceiptHandle: message.ReceiptHandle };
  }

  /** Receives until so many messages have come, or until nothing comes any more. */
  async receiveAll(
    QueueUrl: string,
    count: number,
    more: Partial<ReceiveMessageCommandInput> = {},
  ): Promise<Message[]> {
    const messages: Message[] = [];
    while (messages.length < count) {
      const MaxNumberOfMessages = Math.min(10, count - messages.length);
      const batch = await this.receive(QueueUrl, { MaxNumberOfMessages, WaitTimeSeconds: 2, ...more });
      if (batch.length === 0) break;
      messages.push(...batch);
    }
    return messages;
  }

  async readAttributes(QueueUrl: string): Promise<Record<string, string>> {
    const command = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] });
    return { ...(await this.client.send(command)).Attributes };
  }

  async readArn(QueueUrl: string): Promise<string> {
    const { QueueArn } = await this.readAttributes(QueueUrl);
    if (QueueArn === undefined) throw new Error("the queue has no ARN");
    return QueueArn;
  }

  /** How many messages are visible, in flight and delayed. */
  async count(QueueUrl: string): Promise<{ visible: number; inFlight: number; delayed: number }> {
    const attributes = await this.readAttributes(QueueUrl);
    return {
      visible: Number(attributes.ApproximateNumberOfMessages),
      inFlight: Number(attributes.ApproximateNumberOfMessagesNotVisible),
      delayed: Number(attributes.ApproximateNumberOfMessagesDelayed),
    };
  }

  /** Removes the queues that were created. */
  async close(): Promise<void> {
    // A case may have deleted its queue itself.
    const deletions = this.#queueUrls.map((QueueUrl) => this.client.send(new DeleteQueueCommand({ QueueUrl })));
    await Promise.allSettled(deletions);
  }
}

type ReceivedOne = Message & { ReceiptHandle: string };

/** The error that a request is refused with. */
export async function refusalOf(request: Promise<unknown>): Promise<SQSServiceException> {
  try {
    await request;
  } catch (error) {
    return error as SQSServiceException;
  }
  throw new Error("the request was accepted");
}

/** The bodies of messages. */
export function bodiesOf(messages: readonly Message[]): string[] {
  return messages.map(({ Body = "" }) => Body);
}

/** Numbered bodies. */
export function numbered(count: number, prefix = "message"): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

/** Fails if a promise takes so long that what it waits for cannot have happened by itself. */
export async function promptly<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing happened within ${PROMPTLY_MS} ms`)), PROMPTLY_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again until the answer is the wanted one, and answers the last one at the latest after a deadline. */
export async function eventually<T>(ask: () => Promise<T>, isWanted: (answer: T) => boolean): Promise<T> {
  const deadline = Date.now() + PROMPTLY_MS;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer) || Date.now() > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
