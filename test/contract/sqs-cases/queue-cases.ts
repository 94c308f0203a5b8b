import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  SetQueueAttributesCommand,
  TagQueueCommand,
  UntagQueueCommand,
} from "@aws-sdk/client-sqs";
import { expect } from "vitest";
import { numbered, refusalOf, type SqsCase, uniqueName } from "./session.ts";

export const QUEUE_CASES: readonly SqsCase[] = [
  {
    title: "creates a queue with AWS's defaults and finds it by name",
    async run(session) {
      const QueueName = uniqueName();
      const url = await session.createNamedQueue(QueueName);
      const found = await session.client.send(new GetQueueUrlCommand({ QueueName }));
      expect(found.QueueUrl).toBe(url);
      const attributes = await session.readAttributes(url);
      expect(attributes).toMatchObject({
        QueueArn: expect.stringMatching(new RegExp(`^arn:aws:sqs:[a-z0-9-]+:\\d{12}:${QueueName}$`)),
        CreatedTimestamp: expect.stringMatching(/^\d{10}$/),
        LastModifiedTimestamp: expect.stringMatching(/^\d{10}$/),
        VisibilityTimeout: "30",
        DelaySeconds: "0",
        ReceiveMessageWaitTimeSeconds: "0",
        ApproximateNumberOfMessages: "0",
        ApproximateNumberOfMessagesNotVisible: "0",
        ApproximateNumberOfMessagesDelayed: "0",
      });
    },
  },
  {
    title: "tells the limits on size and retention among the attributes",
    async run(session) {
      const attributes = await session.readAttributes(await session.createQueue());
      expect(attributes).toMatchObject({ MaximumMessageSize: "1048576", MessageRetentionPeriod: "345600" });
    },
  },
  {
    title: "answers a repeated create with equal attributes with the same queue",
    async run(session) {
      const QueueName = uniqueName();
      const Attributes = { VisibilityTimeout: "77" };
      const url = await session.createNamedQueue(QueueName, Attributes);
      expect(await session.createNamedQueue(QueueName, Attributes)).toBe(url);
      expect(await session.createNamedQueue(QueueName)).toBe(url);
    },
  },
  {
    title: "refuses a repeated create with other attributes",
    async run(session) {
      const QueueName = uniqueName();
      await session.createNamedQueue(QueueName, { VisibilityTimeout: "77" });
      const refusal = await refusalOf(session.createNamedQueue(QueueName, { VisibilityTimeout: "78" }));
      expect(refusal.name).toBe("QueueNameExists");
    },
  },
  {
    title: "refuses names that are no queue names",
    async run(session) {
      for (const name of ["with space", "a/b", "x".repeat(81), "standard.fifo"]) {
        const refusal = await refusalOf(session.createNamedQueue(name));
        expect(refusal.$metadata.httpStatusCode, name).toBe(400);
      }
    },
  },
  {
    title: "refuses attributes out of range",
    async run(session) {
      const url = await session.createQueue();
      for (const Attributes of [
        { VisibilityTimeout: "43201" },
        { DelaySeconds: "901" },
        { ReceiveMessageWaitTimeSeconds: "21" },
        { MessageRetentionPeriod: "59" },
        { MaximumMessageSize: "1023" },
        { DelaySeconds: "soon" },
      ]) {
        const refusal = await refusalOf(
          session.client.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes })),
        );
        expect(refusal.name, JSON.stringify(Attributes)).toBe("InvalidAttributeValue");
      }
    },
  },
  {
    title: "refuses attributes that do not exist",
    async run(session) {
      const url = await session.createQueue();
      const Attributes: Record<string, string> = { Colour: "red" };
      const unknown = await refusalOf(
        session.client.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes })),
      );
      expect(unknown.name).toBe("InvalidAttributeName");
    },
  },
  {
    title: "changes attributes and answers those that are asked for",
    async run(session) {
      const QueueUrl = await session.createQueue({ VisibilityTimeout: "10" });
      const Attributes = { VisibilityTimeout: "20", DelaySeconds: "5", ReceiveMessageWaitTimeSeconds: "3" };
      await session.client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes }));
      const command = new GetQueueAttributesCommand({
        QueueUrl,
        AttributeNames: ["VisibilityTimeout", "DelaySeconds"],
      });
      expect((await session.client.send(command)).Attributes).toEqual({ VisibilityTimeout: "20", DelaySeconds: "5" });
      expect(await session.readAttributes(QueueUrl)).toMatchObject(Attributes);
    },
  },
  {
    title: "says of every operation that a queue does not exist",
    async run(session) {
      const QueueName = uniqueName();
      const QueueUrl = (await session.createQueue()).replace(/[^/]+$/, QueueName);
      const refusals = await Promise.all([
        refusalOf(session.client.send(new GetQueueUrlCommand({ QueueName }))),
        refusalOf(session.send(QueueUrl, "lost")),
        refusalOf(session.receive(QueueUrl)),
        refusalOf(session.readAttributes(QueueUrl)),
        refusalOf(session.client.send(new PurgeQueueCommand({ QueueUrl }))),
      ]);
      expect(refusals.map(({ name }) => name)).toEqual(refusals.map(() => "QueueDoesNotExist"));
    },
  },
  {
    title: "keeps tags from the creation on, adds, replaces and removes them",
    async run(session) {
      const { QueueUrl } = await session.client.send(
        new CreateQueueCommand({ QueueName: uniqueName(), tags: { team: "ci", stage: "test" } }),
      );
      await session.client.send(new TagQueueCommand({ QueueUrl, Tags: { stage: "live", owner: "" } }));
      const listed = await session.client.send(new ListQueueTagsCommand({ QueueUrl }));
      expect(listed.Tags).toEqual({ team: "ci", stage: "live", owner: "" });
      await session.client.send(new UntagQueueCommand({ QueueUrl, TagKeys: ["team", "owner", "absent"] }));
      expect((await session.client.send(new ListQueueTagsCommand({ QueueUrl }))).Tags).toEqual({ stage: "live" });
      await session.client.send(new DeleteQueueCommand({ QueueUrl }));
    },
  },
  {
    title: "lists queues by prefix",
    async run(session) {
      const prefix = uniqueName();
      const urls: string[] = [];
      for (const suffix of ["a", "b", "c"]) urls.push(await session.createNamedQueue(`${prefix}-${suffix}`));
      await session.createQueue();
      const listed = await session.client.send(new ListQueuesCommand({ QueueNamePrefix: `${prefix}-` }));
      expect([...(listed.QueueUrls ?? [])].sort()).toEqual(urls);
      const none = await session.client.send(new ListQueuesCommand({ QueueNamePrefix: `${prefix}-x` }));
      expect(none.QueueUrls ?? []).toEqual([]);
    },
  },
  {
    title: "lists queues in pages of the wanted size",
    async run(session) {
      const prefix = uniqueName();
      const urls: string[] = [];
      for (const name of numbered(5, prefix)) urls.push(await session.createNamedQueue(name));
      const listed: string[] = [];
      let NextToken: string | undefined;
      do {
        const input = { QueueNamePrefix: prefix, MaxResults: 2, ...(NextToken !== undefined && { NextToken }) };
        const page = await session.client.send(new ListQueuesCommand(input));
        expect(page.QueueUrls?.length).toBeLessThanOrEqual(2);
        listed.push(...(page.QueueUrls ?? []));
        NextToken = page.NextToken;
      } while (NextToken !== undefined);
      expect(listed.sort()).toEqual(urls);
    },
  },
  {
    title: "purges what is visible, in flight and delayed",
    async run(session) {
      const QueueUrl = await session.createQueue({ VisibilityTimeout: "1" });
      await session.sendAll(QueueUrl, numbered(5));
      await session.send(QueueUrl, "delayed", { DelaySeconds: 1 });
      const received = await session.receive(QueueUrl, { MaxNumberOfMessages: 2 });
      expect(received.length).toBeGreaterThan(0);
      await session.client.send(new PurgeQueueCommand({ QueueUrl }));
      expect(await session.count(QueueUrl)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
      // Longer than the visibility and the delay of what was there.
      expect(await session.receive(QueueUrl, { WaitTimeSeconds: 2 })).toEqual([]);
      await session.send(QueueUrl, "new");
      expect((await session.receiveOne(QueueUrl)).Body).toBe("new");
    },
  },
  {
    title: "refuses a second purge within a minute",
    async run(session) {
      const QueueUrl = await session.createQueue();
      await session.client.send(new PurgeQueueCommand({ QueueUrl }));
      const refusal = await refusalOf(session.client.send(new PurgeQueueCommand({ QueueUrl })));
      expect(refusal.name).toBe("PurgeQueueInProgress");
    },
  },
  {
    title: "deletes a queue with its messages",
    async run(session) {
      const QueueUrl = await session.createQueue();
      await session.send(QueueUrl, "gone with it");
      await session.client.send(new DeleteQueueCommand({ QueueUrl }));
      expect((await refusalOf(session.receive(QueueUrl))).name).toBe("QueueDoesNotExist");
    },
  },
  {
    title: "refuses to create a queue of the same name within a minute of its deletion",
    async run(session) {
      const QueueName = uniqueName();
      const QueueUrl = await session.createNamedQueue(QueueName);
      await session.client.send(new DeleteQueueCommand({ QueueUrl }));
      const refusal = await refusalOf(session.createNamedQueue(QueueName));
      expect(refusal.name).toBe("QueueDeletedRecently");
    },
  },
];
