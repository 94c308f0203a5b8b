import { type Clock, systemClock } from "./clock.ts";
import { AWS_LIMITS, MessageDesk, type SqsLimits } from "./message-desk.ts";
import { MoveTasks } from "./move-tasks.ts";
import type { OperationContext } from "./operation.ts";
import { QueueRegistry } from "./queue-registry.ts";
import { SqsStore } from "./store.ts";

/** Where the server reports what nobody else hears of; a pino logger fits. */
export type SqsLogger = { error(details: Readonly<Record<string, unknown>>, message: string): void };

/** What the queues need to know. */
export type SqsEngineOptions = {
  /** The folder of the database; made if it is not there. One server at a time. */
  readonly dataDir: string;
  readonly region: string;
  /** Twelve digits; all zeros if it is not given. */
  readonly accountId?: string;
  /** AWS's limits, where a test needs others. */
  readonly limits?: Partial<SqsLimits>;
  /** Time for delays, visibility and retention; the machine's own if it is not given. */
  readonly clock?: Clock;
};

/** The account of a server that was not given one. */
export const DEFAULT_ACCOUNT_ID = "000000000000";

/** The queues with all that works on them, apart from the protocol. */
export type SqsEngine = {
  readonly parts: Pick<OperationContext, "registry" | "desk" | "moveTasks" | "now">;
  readonly store: SqsStore;
  /** Reads memory anew where a failed write left it ahead of the disk. */
  ensureLoaded(): void;
  /** Stops all timers and background work; waiting polls end empty. */
  endPolls(): void;
  close(): void;
};

/** Opens the store and puts queues and background work together. */
export function openEngine(options: SqsEngineOptions, logger: SqsLogger): SqsEngine {
  const clock = options.clock ?? systemClock;
  const place = { region: options.region, accountId: options.accountId ?? DEFAULT_ACCOUNT_ID };
  let isStale = true;
  const store = new SqsStore(options.dataDir, (cause) => {
    isStale = true;
    registry.invalidate();
    logger.error({ cause: String(cause) }, "a write was undone; the queues are read from disk again");
    // Timers have to run again even if no request comes.
    clock.startTimer(() => guard(ensureLoaded), 0);
  });
  const guard = (work: () => void) => {
    try {
      work();
    } catch (cause) {
      // Nobody waits for what a timer does; what it left undone is done when the queues are read again.
      logger.error({ cause: String(cause) }, "background work on the queues failed");
    }
  };
  const registry = new QueueRegistry(store, clock, place, {
    onReady: (queue) =>
      guard(() => {
        queue.releaseDue();
        desk.stir(queue);
      }),
    onRetentionDue: (queue) => guard(() => desk.discardExpired(queue)),
  });
  const desk = new MessageDesk(store, registry, clock, { ...AWS_LIMITS, ...options.limits });
  const moveTasks = new MoveTasks({ store, registry, desk, clock }, guard);
  const ensureLoaded = () => {
    if (!isStale) return;
    registry.load();
    moveTasks.load();
    isStale = false;
  };
  try {
    ensureLoaded();
  } catch (error) {
    store.close();
    throw error;
  }
  return {
    parts: { registry, desk, moveTasks, now: () => clock.now() },
    store,
    ensureLoaded,
    endPolls: () => {
      moveTasks.close();
      registry.close();
    },
    close: () => store.close(),
  };
}
