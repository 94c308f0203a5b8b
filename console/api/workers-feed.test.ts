import { expect, it, vi } from "vitest";
import type { Worker } from "../../shared/api/schemas.ts";
import type { WorkerChange } from "../../shared/api-client/index.ts";
import type { PageView } from "./live.ts";
import { WorkersFeed } from "./workers-feed.ts";

const page: PageView = { isHidden: () => false, onChange: () => () => undefined, nextFrame: (call) => call() };

function tellOf(workerId: string, part: Partial<Worker> = {}): WorkerChange {
  const times = { startedAt: "2026-01-01T00:00:00.000Z", lastSeenAt: "2026-01-01T00:00:00.000Z" };
  const slots = { slots: 4, slotsFree: 4, held: 0 };
  const what = { pool: "default", state: "alive", provider: "ec2", host: `host-${workerId}`, version: "1" } as const;
  return { kind: "worker", worker: { workerId, ...what, ...slots, ...times, ...part } };
}

it("keeps each worker in its place, and leaves out whose record went while contact was lost", async () => {
  const told: WorkerChange[] = [
    ...[tellOf("w-10"), tellOf("w-2"), tellOf("w-3", { pool: "a" })],
    { kind: "ready" },
    tellOf("w-10", { state: "draining" }),
    { kind: "left", workerId: "w-3" },
    // Another connection tells all that are there from the start.
    tellOf("w-10", { state: "draining" }),
    { kind: "ready" },
  ];
  const lists: string[] = [];
  const feed = new WorkersFeed(
    {
      followWorkers: async function* () {
        yield* told;
      },
    },
    page,
  );
  const leave = feed.subscribe(() => {
    lists.push(feed.workers.map(({ workerId, state }) => `${workerId} ${state}`).join(", "));
  });
  await vi.waitFor(() => expect(lists).toHaveLength(told.length));
  expect(lists.slice(2)).toEqual([
    "w-3 alive, w-2 alive, w-10 alive",
    "w-3 alive, w-2 alive, w-10 alive",
    "w-3 alive, w-2 alive, w-10 draining",
    "w-2 alive, w-10 draining",
    "w-2 alive, w-10 draining",
    "w-10 draining",
  ]);
  leave();
});
