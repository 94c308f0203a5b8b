import type { Overview, OverviewPart, QueueDepth } from "../../shared/api/overview-schemas.ts";
import type { Job, Pool, Worker } from "../../shared/api/schemas.ts";
import { sleep } from "../../shared/api-client/backoff.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { Contact, watchPatience } from "./contact.ts";

/** Parts of the overview that are shown. */
export const shownParts: readonly OverviewPart[] = ["pools", "queues", "jobs", "failures"];
/** A stream that ended in order is taken up again after so long. */
const againMs = 1_000;
const stateOrder = ["alive", "draining", "starting", "lost", "stopped"];

/** What everything is followed with. */
export interface FleetFeedOptions {
  api: ApiClient;
  /** How everything was at the first contact. */
  first: Overview;
  now(): number;
  onChange(): void;
  /** The API lets nobody follow it any more, such as for a token that was revoked. */
  onFailure(error: unknown): void;
}

/** Pools, queues, workers and jobs as they change. */
export class FleetFeed {
  readonly #options: FleetFeedOptions;
  readonly #run = new AbortController();
  readonly contacts: readonly [Contact, Contact];
  /** The newest of each part. */
  overview: Overview;
  readonly #workers = new Map<string, Worker>();
  #sorted: Worker[] | undefined;
  hasWorkers = false;

  constructor(options: FleetFeedOptions) {
    this.#options = options;
    this.overview = options.first;
    this.contacts = [new Contact(options.now), new Contact(options.now)];
    const { signal } = this.#run;
    Promise.all([this.#followOverview(signal), this.#followWorkers(signal)]).catch((error: unknown) => {
      if (!signal.aborted) options.onFailure(error);
    });
  }

  close(): void {
    this.#run.abort();
  }

  get pools(): readonly Pool[] {
    return this.overview.pools ?? [];
  }

  queueOf(pool: string): QueueDepth | undefined {
    return this.overview.queues?.find((queue) => queue.pool === pool);
  }

  /** Jobs that are active, then those that ended last. */
  get jobs(): readonly Job[] {
    const { active = [], ended = [] } = this.overview.jobs ?? {};
    return [...active, ...ended];
  }

  /** Workers by pool, those that take tasks first. */
  get workers(): readonly Worker[] {
    this.#sorted ??= [...this.#workers.values()].sort(
      (a, b) =>
        a.pool.localeCompare(b.pool) ||
        stateOrder.indexOf(a.state) - stateOrder.indexOf(b.state) ||
        a.startedAt.localeCompare(b.startedAt) ||
        a.workerId.localeCompare(b.workerId),
    );
    return this.#sorted;
  }

  worker(workerId: string): Worker | undefined {
    return this.#workers.get(workerId);
  }

  async #followOverview(signal: AbortSignal): Promise<void> {
    const { api } = this.#options;
    for (;;) {
      const follow = { signal, patience: watchPatience, onStatus: this.contacts[0].note };
      for await (const change of api.followOverview(shownParts, follow)) {
        this.overview = { ...this.overview, ...change };
        this.#options.onChange();
      }
      await sleep(againMs, signal);
    }
  }

  async #followWorkers(signal: AbortSignal): Promise<void> {
    const { api } = this.#options;
    for (;;) {
      const follow = { signal, patience: watchPatience, onStatus: this.contacts[1].note };
      for await (const change of api.followWorkers(follow)) {
        if (change.kind === "worker") this.#workers.set(change.worker.workerId, change.worker);
        else if (change.kind === "left") this.#workers.delete(change.workerId);
        this.#sorted = undefined;
        this.hasWorkers = true;
        this.#options.onChange();
      }
      await sleep(againMs, signal);
    }
  }
}
