import { setImmediate as untilNextTurn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import type { Queue, ReceivedMessage } from "../../shared/clients/queue.ts";
import type { TaskMessage } from "../../shared/domain/task-message.ts";
import { createLogger } from "../../shared/log.ts";
import { ControlPlaneError } from "../control-plane-call.ts";
import type { ControlPlaneClient } from "../control-plane-client.ts";
import type { WorkerClaim } from "../worker-claim.ts";
import { HeldMessages } from "./held-messages.ts";
import { Intake, type IntakeOptions } from "./intake.ts";

type Receive = () => ReceivedMessage[] | Error;

let intake: Intake | undefined;
afterEach(() => intake?.stop());

/** An intake whose polls bring what is given, one after the other, and then wait until they are ended. */
function startIntake(
  receives: readonly Receive[],
  claim: ControlPlaneClient["claim"],
  more: Pick<IntakeOptions, "lastClaimsMs"> = {},
) {
  const released: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const drained = Promise.withResolvers<void>();
  const waiting = [...receives];
  const queue: Queue = {
    send: async () => undefined,
    receive: async ({ signal }) => {
      signal?.throwIfAborted();
      const brought = waiting.shift()?.();
      if (brought instanceof Error) throw brought;
      if (brought) return brought;
      drained.resolve();
      const { promise, reject } = Promise.withResolvers<never>();
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      return promise;
    },
    changeVisibility: async (receipts, seconds) => {
      for (const receipt of receipts) released.push(`${receipt} ${seconds}`);
      return [];
    },
    delete: async () => undefined,
  };
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  const log = createLogger("test", { destination });
  const nowMs = () => 0;
  const held = new HeldMessages({ queue, visibilityTimeoutSeconds: 30, nowMs, log });
  intake = new Intake({
    workerId: "w-1",
    queue,
    client: { claim } as ControlPlaneClient,
    held,
    slots: 4,
    receiveWaitSeconds: 20,
    nowMs,
    log,
    startTask: () => undefined,
    ...more,
  });
  intake.start();
  return { released, lines, held, drained: drained.promise };
}

function message(name: string, receiveCount: number, slots = 1): ReceivedMessage {
  const task: TaskMessage = { v: 1, jobId: "job", task: name, bucket: 0, slots };
  return { messageId: name, receiptHandle: name, body: JSON.stringify(task), receiveCount };
}

function overLimit(): Error {
  return Object.assign(new Error("too many messages are in flight"), { name: "OverLimit" });
}

describe("an intake", () => {
  it("says once that the queue has too many messages in flight, and goes on when it has room again", async () => {
    const claimed = Promise.withResolvers<void>();
    const { lines } = startIntake([overLimit, overLimit, overLimit, () => [message("a", 1)]], async () => {
      claimed.resolve();
      return [{ status: "drop", detail: "it is over" }];
    });
    await claimed.promise;
    const warnings = lines.filter(({ level }) => level === "warn").map((line) => String(line.message));
    expect(warnings).toEqual([expect.stringContaining("as many messages in flight as SQS allows (120,000)")]);
  });

  it("stops though it has just taken all it has slots for", async () => {
    const stopped = Promise.withResolvers<void>();
    startIntake([() => [message("a", 1, 4)]], async () => {
      // By then the next poll is about to begin.
      await Promise.resolve();
      stopped.resolve(intake?.stop());
      return [{ status: "claimed" } as WorkerClaim];
    });
    await stopped.promise;
  });

  it("takes tasks again after a stop that a claim without an answer outlasted", async () => {
    const answer = Promise.withResolvers<never>();
    const tries = [
      () => Promise.reject(new ControlPlaneError("503", { retryable: true })),
      () => {
        tried.resolve();
        return answer.promise;
      },
    ];
    const claimedAgain = Promise.withResolvers<void>();
    const tried = Promise.withResolvers<void>();
    startIntake([() => [message("a", 1)], () => [message("b", 1)]], (_workerId, [claim]) => {
      if (claim?.task === "b") claimedAgain.resolve();
      return tries.shift()?.() ?? Promise.resolve([{ status: "drop", detail: "it is over" }]);
    });
    await tried.promise;
    const stopped = intake?.stop();
    intake?.start();
    // The poll that has begun finds the claim still under way, and waits for it.
    await untilNextTurn();
    await untilNextTurn();
    answer.reject(new ControlPlaneError("503", { retryable: true }));
    await Promise.all([stopped, claimedAgain.promise]);
  });

  it("gives back what it has claimed without an answer when it stops, and claims with one when it begins anew", async () => {
    const claimed = Promise.withResolvers<void>();
    const again = Promise.withResolvers<void>();
    const { released, held } = startIntake(
      [() => [message("a", 1)], () => [message("b", 1)]],
      async (_workerId, [claim], { signal }) => {
        if (claim?.task === "b") {
          expect(signal?.aborted).toBe(false);
          again.resolve();
          return [{ status: "drop", detail: "it is over" }];
        }
        claimed.resolve();
        return new Promise((_resolve, reject) =>
          signal?.addEventListener("abort", () => reject(signal.reason), { once: true }),
        );
      },
      { lastClaimsMs: 0 },
    );
    await claimed.promise;
    await intake?.stop();
    await held.settle();
    expect(released).toEqual(["a 0"]);
    intake?.start();
    await again.promise;
  });

  it("puts a message off for ever longer that comes again and again, for each receive is one of its last", async () => {
    const counts = [1, 5, 8, 12, 19];
    const { released, held, drained } = startIntake(
      counts.map((count) => () => [message(`m${count}`, count)]),
      async () => [{ status: "wait", detail: "attempt 1 holds its lease", retryAfterSeconds: 3 }],
    );
    await drained;
    await intake?.stop();
    await held.settle();
    expect(released.sort()).toEqual(["m1 3", "m12 128", "m19 300", "m5 3", "m8 8"]);
  });
});
