import { createHash } from "node:crypto";
import { type MessageAttributeValue, SendMessageBatchCommand } from "@aws-sdk/client-sqs";
import { expect } from "vitest";
import { bodiesOf, numbered, refusalOf, type SqsCase, type SqsSession } from "./session.ts";

const md5 = (text: string) => createHash("md5").update(text).digest("hex");
const MIB = 1_048_576;

/** The name of the error that a batch with these ids is refused with. */
async function refuseBatch(session: SqsSession, QueueUrl: string, ids: readonly string[]): Promise<string> {
  const Entries = ids.map((Id) => ({ Id, MessageBody: "never sent" }));
  return (await refusalOf(session.client.send(new SendMessageBatchCommand({ QueueUrl, Entries })))).name;
}

export const SEND_CASES: readonly SqsCase[] = [
  {
    title: "digests body and message attributes as AWS does",
    async run(session) {
      const url = await session.createQueue();
      const body = "grüße, 世界 🚀 \t\r\n";
      // Digests as AWS answers them for these attributes.
      const number = await session.send(url, body, {
        MessageAttributes: { timestamp: { DataType: "Number", StringValue: "1493147359900" } },
      });
      expect(number.MD5OfMessageBody).toBe(md5(body));
      expect(number.MD5OfMessageAttributes).toBe("235c5c510d26fb653d073faed50ae77c");
      const binary = await session.send(url, "test", {
        MessageAttributes: {
          attr1: {
            DataType: "Binary",
            BinaryValue: Buffer.from("traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"),
          },
        },
      });
      expect(binary.MD5OfMessageAttributes).toBe("8cbe4db156db8a94db8b801b7addb984");
      const bodies = bodiesOf(await session.receiveAll(url, 2));
      expect(bodies.sort()).toEqual([body, "test"].sort());
    },
  },
  {
    title: "returns message attributes of every type as they were sent",
    async run(session) {
      const url = await session.createQueue();
      const MessageAttributes: Record<string, MessageAttributeValue> = {
        text: { DataType: "String", StringValue: "ä" },
        "text.custom-1": { DataType: "String.json", StringValue: "{}" },
        number: { DataType: "Number", StringValue: "-12.5" },
        binary: { DataType: "Binary", BinaryValue: Uint8Array.of(0, 255, 7) },
      };
      const sent = await session.send(url, "with attributes", { MessageAttributes });
      const message = await session.receiveOne(url);
      expect(message.MD5OfMessageAttributes).toBe(sent.MD5OfMessageAttributes);
      expect(message.MessageAttributes?.binary?.BinaryValue).toEqual(Uint8Array.of(0, 255, 7));
      for (const name of ["text", "text.custom-1", "number"]) {
        expect(message.MessageAttributes?.[name], name).toMatchObject(MessageAttributes[name] ?? {});
      }
    },
  },
  {
    title: "keeps the trace header apart from the message attributes",
    async run(session) {
      const url = await session.createQueue();
      const StringValue = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
      const sent = await session.send(url, "traced", {
        MessageSystemAttributes: { AWSTraceHeader: { DataType: "String", StringValue } },
      });
      expect(sent.MD5OfMessageAttributes).toBeUndefined();
      const message = await session.receiveOne(url);
      expect(message.Attributes?.AWSTraceHeader).toBe(StringValue);
      expect(message.MessageAttributes).toBeUndefined();
    },
  },
  {
    title: "digests system attributes as AWS does",
    async run(session) {
      const StringValue = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
      const sent = await session.send(await session.createQueue(), "traced", {
        MessageSystemAttributes: { AWSTraceHeader: { DataType: "String", StringValue } },
      });
      expect(sent.MD5OfMessageSystemAttributes).toBe("5ae4d5d7636402d80f4eb6d213245a88");
    },
  },
  {
    title: "takes a batch of ten and tells id and digest of each",
    async run(session) {
      const QueueUrl = await session.createQueue();
      const Entries = numbered(10).map((MessageBody, index) => ({ Id: `id_${index}-x`, MessageBody }));
      const sent = await session.client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
      expect(sent.Failed ?? []).toEqual([]);
      expect(sent.Successful?.map(({ Id }) => Id)).toEqual(Entries.map(({ Id }) => Id));
      expect(sent.Successful?.map(({ MD5OfMessageBody }) => MD5OfMessageBody)).toEqual(numbered(10).map(md5));
      const received = await session.receiveAll(QueueUrl, 10);
      expect(received.map(({ MessageId }) => MessageId).sort()).toEqual(
        sent.Successful?.map(({ MessageId }) => MessageId).sort(),
      );
    },
  },
  {
    title: "sends the valid part of a batch and reports the rest",
    async run(session) {
      const QueueUrl = await session.createQueue();
      const Entries = [
        { Id: "good", MessageBody: "good" },
        { Id: "control", MessageBody: "bad \u0000" },
        { Id: "delay", MessageBody: "bad", DelaySeconds: 901 },
        { Id: "also-good", MessageBody: "also good" },
      ];
      const sent = await session.client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
      expect(sent.Successful?.map(({ Id }) => Id)).toEqual(["good", "also-good"]);
      expect(sent.Failed?.map(({ Id, SenderFault }) => [Id, SenderFault])).toEqual([
        ["control", true],
        ["delay", true],
      ]);
      expect(bodiesOf(await session.receiveAll(QueueUrl, 2)).sort()).toEqual(["also good", "good"]);
    },
  },
  {
    title: "refuses an empty batch",
    async run(session) {
      expect(await refuseBatch(session, await session.createQueue(), [])).toBe("EmptyBatchRequest");
    },
  },
  {
    title: "refuses batches of more than ten, and those whose ids repeat",
    async run(session) {
      const QueueUrl = await session.createQueue();
      expect(await refuseBatch(session, QueueUrl, numbered(11))).toBe("TooManyEntriesInBatchRequest");
      expect(await refuseBatch(session, QueueUrl, ["a", "b", "a"])).toBe("BatchEntryIdsNotDistinct");
      expect(await session.count(QueueUrl)).toMatchObject({ visible: 0 });
    },
  },
  {
    title: "refuses batches with ids that are none",
    async run(session) {
      const QueueUrl = await session.createQueue();
      expect(await refuseBatch(session, QueueUrl, ["a", "a:b"])).toBe("InvalidBatchEntryId");
      expect(await refuseBatch(session, QueueUrl, ["x".repeat(81)])).toBe("InvalidBatchEntryId");
      expect(await session.count(QueueUrl)).toMatchObject({ visible: 0 });
    },
  },
  {
    title: "refuses messages longer than the queue's limit, in bytes",
    async run(session) {
      const url = await session.createQueue({ MaximumMessageSize: "1024" });
      await session.send(url, "x".repeat(1024));
      for (const body of ["x".repeat(1025), "ä".repeat(513)]) {
        expect((await refusalOf(session.send(url, body))).$metadata.httpStatusCode).toBe(400);
      }
    },
  },
  {
    title: "takes a message of 1 MiB and refuses one byte more",
    async run(session) {
      const url = await session.createQueue();
      await session.send(url, "x".repeat(MIB));
      expect((await session.receiveOne(url)).Body).toHaveLength(MIB);
      const refusal = await refusalOf(session.send(url, "x".repeat(MIB + 1)));
      expect(refusal.$metadata.httpStatusCode).toBe(400);
    },
  },
  {
    title: "counts the attributes for the limit on size",
    async run(session) {
      const url = await session.createQueue({ MaximumMessageSize: "1024" });
      const MessageAttributes = { name: { DataType: "String", StringValue: "v".repeat(10) } };
      const room = 1024 - "name".length - "String".length - 10;
      await session.send(url, "x".repeat(room), { MessageAttributes });
      const refusal = await refusalOf(session.send(url, "x".repeat(room + 1), { MessageAttributes }));
      expect(refusal.$metadata.httpStatusCode).toBe(400);
    },
  },
  {
    title: "refuses a batch of more than 1 MiB as a whole",
    async run(session) {
      const QueueUrl = await session.createQueue();
      const batch = (lastBytes: number) => {
        const sizes = [MIB / 2, MIB / 2 - 100, lastBytes];
        const Entries = sizes.map((size, index) => ({ Id: `${index}`, MessageBody: "x".repeat(size) }));
        return session.client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
      };
      expect((await refusalOf(batch(101))).name).toBe("BatchRequestTooLong");
      expect(await session.count(QueueUrl)).toMatchObject({ visible: 0 });
      expect((await batch(100)).Successful).toHaveLength(3);
    },
  },
  {
    title: "refuses characters that no message may contain, and empty messages",
    async run(session) {
      const url = await session.createQueue();
      for (const body of ["\u0000", "bell \u0007", "\uffff"]) {
        expect((await refusalOf(session.send(url, body))).name, JSON.stringify(body)).toBe("InvalidMessageContents");
      }
      expect((await refusalOf(session.send(url, ""))).$metadata.httpStatusCode).toBe(400);
    },
  },
  {
    title: "refuses message attributes with invalid names",
    async run(session) {
      const url = await session.createQueue();
      const text = { DataType: "String", StringValue: "value" };
      const invalid: Record<string, MessageAttributeValue>[] = [
        { "aWs.name": text },
        { "with space": text },
        { ".leading": text },
        { ["x".repeat(257)]: text },
      ];
      for (const MessageAttributes of invalid) {
        const refusal = await refusalOf(session.send(url, "refused", { MessageAttributes }));
        expect(refusal.$metadata?.httpStatusCode, JSON.stringify(MessageAttributes)).toBe(400);
      }
    },
  },
  {
    title: "takes ten message attributes and refuses eleven",
    async run(session) {
      const url = await session.createQueue();
      const sendMany = (count: number) => {
        const text = { DataType: "String", StringValue: "value" };
        const MessageAttributes = Object.fromEntries(numbered(count, "name").map((name) => [name, text]));
        return session.send(url, "attributes", { MessageAttributes });
      };
      await sendMany(10);
      expect((await refusalOf(sendMany(11))).$metadata.httpStatusCode).toBe(400);
    },
  },
  {
    title: "refuses message attributes with invalid values",
    async run(session) {
      const url = await session.createQueue();
      for (const attribute of [
        { DataType: "String", StringValue: "" },
        { DataType: "Colour", StringValue: "red" },
        { DataType: "Number", StringValue: "twelve" },
      ]) {
        const refusal = await refusalOf(session.send(url, "refused", { MessageAttributes: { attribute } }));
        expect(refusal.$metadata?.httpStatusCode, JSON.stringify(attribute)).toBe(400);
      }
    },
  },
  {
    title: "delays a message by its own delay",
    async run(session) {
      const url = await session.createQueue();
      const sentAtMs = Date.now();
      await session.send(url, "later", { DelaySeconds: 1 });
      expect(await session.count(url)).toEqual({ visible: 0, inFlight: 0, delayed: 1 });
      expect(await session.receive(url)).toEqual([]);
      expect((await session.receiveOne(url, { WaitTimeSeconds: 20 })).Body).toBe("later");
      expect(Date.now() - sentAtMs).toBeGreaterThanOrEqual(900);
    },
  },
  {
    title: "delays by the queue's delay, unless the message says otherwise",
    async run(session) {
      const url = await session.createQueue({ DelaySeconds: "1" });
      await session.send(url, "later");
      await session.send(url, "now", { DelaySeconds: 0 });
      expect((await session.receiveOne(url)).Body).toBe("now");
      expect((await session.receiveOne(url, { WaitTimeSeconds: 20 })).Body).toBe("later");
    },
  },
  {
    title: "refuses delays out of range",
    async run(session) {
      const url = await session.createQueue();
      for (const DelaySeconds of [-1, 901]) {
        const refusal = await refusalOf(session.send(url, "refused", { DelaySeconds }));
        expect(refusal.$metadata.httpStatusCode).toBe(400);
      }
    },
  },
  {
    title: "takes a message group on a standard queue and tells it",
    async run(session) {
      const url = await session.createQueue();
      const sent = await session.send(url, "of a group", { MessageGroupId: "job-1" });
      expect(sent.SequenceNumber).toBeUndefined();
      const { Attributes } = await session.receiveOne(url);
      expect(Attributes?.MessageGroupId).toBe("job-1");
      // The group is not locked: another of its messages can be received while the first is in flight.
      await session.send(url, "of the same group", { MessageGroupId: "job-1" });
      expect((await session.receiveOne(url)).Body).toBe("of the same group");
    },
  },
  {
    title: "refuses invalid groups, and deduplication on a standard queue",
    async run(session) {
      const url = await session.createQueue();
      for (const MessageGroupId of ["with space", "x".repeat(129)]) {
        const refusal = await refusalOf(session.send(url, "refused", { MessageGroupId }));
        expect(refusal.$metadata.httpStatusCode).toBe(400);
      }
      const refusal = await refusalOf(session.send(url, "refused", { MessageDeduplicationId: "once" }));
      expect(refusal.$metadata.httpStatusCode).toBe(400);
    },
  },
];
