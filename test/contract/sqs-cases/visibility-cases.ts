import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
} from "@aws-sdk/client-sqs";
import { expect } from "vitest";
import { bodiesOf, numbered, promptly, refusalOf, type SqsCase, type SqsSession } from "./session.ts";

async function changeVisibility(session: SqsSession, QueueUrl: string, handle: string, VisibilityTimeout: number) {
  const input = { QueueUrl, ReceiptHandle: handle, VisibilityTimeout };
  await session.client.send(new ChangeMessageVisibilityCommand(input));
}

async function deleteMessage(session: SqsSession, QueueUrl: string, ReceiptHandle: string) {
  await session.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
}

export const VISIBILITY_CASES: readonly SqsCase[] = [
  {
    title: "hides a message for the call's timeout rather than the queue's",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "0" });
      await session.send(url, "hidden");
      await session.receiveOne(url, { VisibilityTimeout: 60 });
      expect(await session.receive(url)).toEqual([]);
      expect(await session.count(url)).toEqual({ visible: 0, inFlight: 1, delayed: 0 });
    },
  },
  {
    title: "extends a visibility beyond the timeout it had",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "1" });
      await session.send(url, "held");
      const held = await session.receiveOne(url);
      await changeVisibility(session, url, held.ReceiptHandle, 60);
      expect(await session.receive(url, { WaitTimeSeconds: 2 })).toEqual([]);
      await deleteMessage(session, url, held.ReceiptHandle);
      expect(await session.count(url)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "shortens a visibility",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "600" });
      await session.send(url, "sooner");
      const { ReceiptHandle } = await session.receiveOne(url);
      await changeVisibility(session, url, ReceiptHandle, 1);
      expect(bodiesOf(await promptly(session.receive(url, { WaitTimeSeconds: 20 })))).toEqual(["sooner"]);
    },
  },
  {
    title: "makes a message visible at once with a timeout of 0, and counts the receive",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "600" });
      await session.send(url, "released");
      const first = await session.receiveOne(url);
      await changeVisibility(session, url, first.ReceiptHandle, 0);
      expect(await session.count(url)).toEqual({ visible: 1, inFlight: 0, delayed: 0 });
      const second = await promptly(session.receiveOne(url));
      expect(second.MessageId).toBe(first.MessageId);
      expect(second.Attributes?.ApproximateReceiveCount).toBe("2");
    },
  },
  {
    title: "does not keep a changed visibility for the next receive",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "1" });
      await session.send(url, "held once");
      const first = await session.receiveOne(url);
      await changeVisibility(session, url, first.ReceiptHandle, 600);
      await changeVisibility(session, url, first.ReceiptHandle, 0);
      await session.receiveOne(url);
      expect(bodiesOf(await promptly(session.receive(url, { WaitTimeSeconds: 20 })))).toEqual(["held once"]);
    },
  },
  {
    title: "changes visibilities in a batch and reports those it cannot",
    async run(session) {
      const QueueUrl = await session.createQueue({ VisibilityTimeout: "600" });
      await session.sendAll(QueueUrl, numbered(2));
      const [one, other] = await session.receiveAll(QueueUrl, 2);
      const Entries = [
        { Id: "one", ReceiptHandle: one?.ReceiptHandle, VisibilityTimeout: 0 },
        { Id: "garbage", ReceiptHandle: "garbage", VisibilityTimeout: 0 },
        { Id: "other", ReceiptHandle: other?.ReceiptHandle, VisibilityTimeout: 0 },
      ];
      const changed = await session.client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
      expect(changed.Successful?.map(({ Id }) => Id)).toEqual(["one", "other"]);
      expect(changed.Failed?.map(({ Id, SenderFault }) => [Id, SenderFault])).toEqual([["garbage", true]]);
      expect(await session.count(QueueUrl)).toEqual({ visible: 2, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "refuses timeouts out of range",
    async run(session) {
      const url = await session.createQueue();
      await session.send(url, "message");
      const { ReceiptHandle } = await session.receiveOne(url);
      for (const timeout of [-1, 43_201]) {
        const refusal = await refusalOf(changeVisibility(session, url, ReceiptHandle, timeout));
        expect(refusal.$metadata.httpStatusCode).toBe(400);
      }
    },
  },
  {
    title: "refuses to change a visibility by a receipt that is none",
    async run(session) {
      const url = await session.createQueue();
      expect((await refusalOf(changeVisibility(session, url, "garbage", 1))).name).toBe("ReceiptHandleIsInvalid");
    },
  },
  {
    title: "refuses to change the visibility of a deleted message",
    async run(session) {
      const url = await session.createQueue();
      await session.send(url, "deleted");
      const { ReceiptHandle } = await session.receiveOne(url);
      await deleteMessage(session, url, ReceiptHandle);
      const refusal = await refusalOf(changeVisibility(session, url, ReceiptHandle, 10));
      expect(refusal.name).toBe("InvalidParameterValue");
    },
  },
  {
    title: "accepts a change for a message that has become visible again, without effect",
    async run(session) {
      const url = await session.createQueue();
      await session.send(url, "visible again");
      const { ReceiptHandle } = await session.receiveOne(url, { VisibilityTimeout: 0 });
      await changeVisibility(session, url, ReceiptHandle, 600);
      expect(await session.count(url)).toEqual({ visible: 1, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "deletes a message for good",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "1" });
      await session.send(url, "deleted");
      const { ReceiptHandle } = await session.receiveOne(url);
      await deleteMessage(session, url, ReceiptHandle);
      expect(await session.receive(url, { WaitTimeSeconds: 2 })).toEqual([]);
    },
  },
  {
    title: "accepts to delete a message again",
    async run(session) {
      const url = await session.createQueue();
      await session.send(url, "deleted");
      const { ReceiptHandle } = await session.receiveOne(url);
      await deleteMessage(session, url, ReceiptHandle);
      await deleteMessage(session, url, ReceiptHandle);
    },
  },
  {
    title: "deletes by a receipt whose visibility has run out, if nobody received the message since",
    async run(session) {
      const url = await session.createQueue();
      await session.send(url, "late");
      const { ReceiptHandle } = await session.receiveOne(url, { VisibilityTimeout: 0 });
      await deleteMessage(session, url, ReceiptHandle);
      expect(await session.count(url)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "accepts a delete with a stale receipt and keeps the message",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "600" });
      await session.send(url, "kept");
      const stale = await session.receiveOne(url, { VisibilityTimeout: 0 });
      const latest = await session.receiveOne(url);
      expect(stale.ReceiptHandle).not.toBe(latest.ReceiptHandle);
      await deleteMessage(session, url, stale.ReceiptHandle);
      expect(await session.count(url)).toEqual({ visible: 0, inFlight: 1, delayed: 0 });
      await deleteMessage(session, url, latest.ReceiptHandle);
      expect(await session.count(url)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "refuses to delete by a receipt that is none",
    async run(session) {
      const url = await session.createQueue();
      expect((await refusalOf(deleteMessage(session, url, "garbage"))).name).toBe("ReceiptHandleIsInvalid");
    },
  },
  {
    title: "deletes in a batch and reports those it cannot",
    async run(session) {
      const QueueUrl = await session.createQueue();
      await session.sendAll(QueueUrl, numbered(3));
      const received = await session.receiveAll(QueueUrl, 3);
      const Entries = received.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }));
      const input = { QueueUrl, Entries: [...Entries, { Id: "bad", ReceiptHandle: "garbage" }] };
      const deleted = await session.client.send(new DeleteMessageBatchCommand(input));
      expect(deleted.Successful?.map(({ Id }) => Id)).toEqual(["0", "1", "2"]);
      expect(deleted.Failed?.map(({ Id, Code }) => [Id, Code])).toEqual([["bad", "ReceiptHandleIsInvalid"]]);
      expect(await session.count(QueueUrl)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "counts what is visible, in flight and delayed",
    async run(session) {
      const url = await session.createQueue();
      await session.sendAll(url, numbered(5));
      await session.send(url, "delayed", { DelaySeconds: 900 });
      const [first] = await session.receiveAll(url, 2);
      expect(await session.count(url)).toEqual({ visible: 3, inFlight: 2, delayed: 1 });
      await deleteMessage(session, url, first?.ReceiptHandle ?? "");
      expect(await session.count(url)).toEqual({ visible: 3, inFlight: 1, delayed: 1 });
    },
  },
];
