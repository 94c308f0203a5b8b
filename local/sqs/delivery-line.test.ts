import { describe, expect, it } from "vitest";
import {
  createQueuedMessage,
  type DeliveryLine,
  FairLine,
  type MessageState,
  OrderedLine,
  type QueuedMessage,
} from "./delivery-line.ts";

function makeMessage(row: number, groupId: string, state: MessageState = "ready"): QueuedMessage {
  const times = { sentAtMs: 0, visibleAtMs: 0, firstReceivedAtMs: undefined, receivedAtMs: undefined };
  return createQueuedMessage({ row, groupId, queueId: 1, receiveCount: 0, priorReceiveCount: 0, ...times }, state);
}

function setState(line: DeliveryLine, message: QueuedMessage, state: MessageState): void {
  message.state = state;
  line.update(message);
}

/** Takes up to so many messages, as one receive does. */
function take(line: DeliveryLine, count: number): QueuedMessage[] {
  const cursor = line.openCursor();
  const taken: QueuedMessage[] = [];
  while (taken.length < count) {
    const message = cursor.next();
    if (message === undefined) break;
    setState(line, message, "inFlight");
    taken.push(message);
  }
  return taken;
}

const rows = (messages: readonly QueuedMessage[]) => messages.map(({ row }) => row);

describe("FairLine", () => {
  it("lets the groups take turns, whatever the order of sending", () => {
    const line = new FairLine();
    for (const row of [1, 2, 3, 4]) line.add(makeMessage(row, "big"));
    line.add(makeMessage(5, "small"));
    line.add(makeMessage(6, ""));
    line.add(makeMessage(7, ""));
    expect(rows(take(line, 5))).toEqual([1, 5, 6, 2, 7]);
    expect(rows(take(line, 5))).toEqual([3, 4]);
    expect(line.hasDeliverable).toBe(false);
  });

  it("goes on with the next group in the next receive", () => {
    const line = new FairLine();
    for (const row of [1, 2]) line.add(makeMessage(row, "a"));
    for (const row of [3, 4]) line.add(makeMessage(row, "b"));
    expect([take(line, 1), take(line, 1), take(line, 1)].flatMap(rows)).toEqual([1, 3, 2]);
  });

  it("puts a released message behind those of its group, and one that is put back before them", () => {
    const line = new FairLine();
    for (const row of [1, 2, 3]) line.add(makeMessage(row, "a"));
    const [one, two] = take(line, 2);
    if (one === undefined || two === undefined) throw new Error("nothing was delivered");
    setState(line, one, "ready");
    two.state = "ready";
    line.putBack(two);
    expect(rows(take(line, 3))).toEqual([2, 3, 1]);
  });

  it("forgets a group with its last message", () => {
    const line = new FairLine();
    const message = makeMessage(1, "a");
    line.add(message);
    line.remove(message);
    expect(line.hasDeliverable).toBe(false);
    expect(take(line, 1)).toEqual([]);
  });

  it("takes as long for a message among 100,000 groups as among few", () => {
    const line = new FairLine();
    for (let row = 0; row < 100_000; row += 1) line.add(makeMessage(row, `g${row}`));
    // Each step looks at one group only; if it looked at all of them, this would not end within the test's time.
    expect(take(line, 100_000)).toHaveLength(100_000);
  });
});

describe("OrderedLine", () => {
  it("delivers a group's messages together and then those of the next group", () => {
    const line = new OrderedLine();
    for (const [row, group] of [
      [1, "a"],
      [2, "b"],
      [3, "a"],
      [4, "a"],
    ] as const)
      line.add(makeMessage(row, group));
    expect(rows(take(line, 10))).toEqual([1, 3, 4, 2]);
  });

  it("locks a group behind a message in flight, also for messages that come later", () => {
    const line = new OrderedLine();
    for (const row of [1, 2]) line.add(makeMessage(row, "a"));
    const [head] = take(line, 1);
    line.add(makeMessage(3, "a"));
    expect(take(line, 10)).toEqual([]);
    if (head !== undefined) line.remove(head);
    expect(rows(take(line, 10))).toEqual([2, 3]);
  });

  it("delivers up to the first message that is hidden or delayed", () => {
    const line = new OrderedLine();
    line.add(makeMessage(1, "a"));
    line.add(makeMessage(2, "a", "delayed"));
    line.add(makeMessage(3, "a"));
    expect(rows(take(line, 10))).toEqual([1]);
  });

  it("delivers messages that come back in their old order", () => {
    const line = new OrderedLine();
    for (const row of [1, 2, 3]) line.add(makeMessage(row, "a"));
    for (const message of take(line, 3).reverse()) setState(line, message, "ready");
    expect(rows(take(line, 10))).toEqual([1, 2, 3]);
  });

  it("goes on behind a message that is removed while it is delivered", () => {
    const line = new OrderedLine();
    for (const row of [1, 2, 3]) line.add(makeMessage(row, "a"));
    const cursor = line.openCursor();
    const first = cursor.next();
    if (first !== undefined) line.remove(first);
    expect(cursor.next()?.row).toBe(2);
  });
});
