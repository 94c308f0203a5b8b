import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Queue, ReceivedMessage } from "../../shared/clients/queue.ts";
import { createLogger } from "../../shared/log.ts";
import { HeldMessages } from "./held-messages.ts";

function openHeld(overrides: Partial<Queue> = {}) {
  const calls: string[] = [];
  const clock = { nowMs: 0 };
  const queue: Queue = {
    send: async () => undefined,
    receive: async () => [],
    changeVisibility: async (receipts, seconds) => {
      calls.push(`visibility ${seconds}: ${receipts.join()}`);
      return [];
    },
    delete: async (receipts) => void calls.push(`delete: ${receipts.join()}`),
    ...overrides,
  };
  const held = new HeldMessages({
    queue,
    visibilityTimeoutSeconds: 30,
    nowMs: () => clock.nowMs,
    log: createLogger("test", { level: "silent" }),
  });
  return { held, calls, clock };
}

function message(name: string): ReceivedMessage {
  return { messageId: name, receiptHandle: name, body: "", receiveCount: 1 };
}

describe("HeldMessages", () => {
  it("makes one request of deletes that come together", async () => {
    const { held, calls } = openHeld();
    for (const name of ["a", "b", "c"]) held.delete(message(name));
    await held.settle();
    expect(calls).toEqual(["delete: a,b,c"]);
  });

  it("renews in one request what is a third of the timeout old, and nothing else", async () => {
    const { held, calls, clock } = openHeld();
    const [a, b, c] = [message("a"), message("b"), message("c")];
    held.hold([a, b]);
    clock.nowMs = 9_000;
    held.hold([c]);
    await held.renewDue();
    expect(calls).toEqual([]);
    clock.nowMs = 10_000;
    held.forget(b);
    await held.renewDue();
    await held.renewDue();
    expect(calls).toEqual(["visibility 30: a"]);
  });

  it("groups releases by their delay and does not renew what was released", async () => {
    const { held, calls, clock } = openHeld();
    const messages = ["a", "b", "c"].map(message);
    held.hold(messages);
    for (const [index, item] of messages.entries()) held.release(item, index === 1 ? 5 : 0);
    clock.nowMs = 60_000;
    await held.renewDue();
    await held.settle();
    expect(calls).toEqual(["visibility 0: a,c", "visibility 5: b"]);
  });

  it("releases only after a renewal under way, which would hide the message again", async () => {
    const { promise: renewed, resolve: finishRenewal } = Promise.withResolvers<void>();
    const order: string[] = [];
    const { held, clock } = openHeld({
      changeVisibility: async (_receipts, seconds) => {
        if (seconds === 30) await renewed;
        order.push(String(seconds));
        return [];
      },
    });
    const item = message("a");
    held.hold([item]);
    clock.nowMs = 10_000;
    const renewal = held.renewDue();
    held.release(item, 0);
    const settled = held.settle();
    finishRenewal();
    await Promise.all([renewal, settled]);
    expect(order).toEqual(["30", "0"]);
  });

  it("tells what it could not give back", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { held } = openHeld({ changeVisibility: () => Promise.reject(new Error("503")) });
    held.hold([message("a")]);
    const settled = held.releaseAll();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await settled).toBe("messages could not be released; they show again by themselves: 503");
    expect(await held.releaseAll()).toBeUndefined();
  });

  it("lets go of what the queue refuses to hide, and does not ask for it again", async () => {
    const asked: string[] = [];
    const { held, clock } = openHeld({
      changeVisibility: async (receipts) => {
        asked.push(receipts.join());
        return receipts.filter((receipt) => receipt === "a");
      },
    });
    held.hold([message("a"), message("b")]);
    for (clock.nowMs = 10_000; clock.nowMs <= 30_000; clock.nowMs += 10_000) await held.renewDue();
    expect(asked).toEqual(["a,b", "b", "b"]);
  });

  it("tries a failed delete again, and lets a failed renewal be", async () => {
    let failures = 1;
    const { held, calls, clock } = openHeld({
      delete: async () => {
        if (failures-- > 0) throw new Error("503");
        calls.push("deleted");
      },
      changeVisibility: () => Promise.reject(new Error("503")),
    });
    const item = message("a");
    held.hold([item]);
    clock.nowMs = 10_000;
    await held.renewDue();
    held.delete(item);
    await held.settle();
    expect(calls).toEqual(["deleted"]);
  });
});
