import type { Overview, OverviewPart, QueueDepth } from "../../shared/api/overview-schemas.ts";
import type { Job, Pool, Worker } from "../../shared/api/schemas.ts";
import { sleep } from "../../shared/api-client/backoff.ts";
import type { WorkerChange } from "../../shared/api-client/fleet-client.ts";
import type { ApiClient, StreamStatus } from "../../shared/api-client/index.ts";
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
  /** Workers that this connection has not told yet. */
  #untold = new Set<string>();
  /** Whether all workers have been told once. */
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

  /** Workers that live by pool, those that take tasks first; then those that went. */
  get workers(): readonly Worker[] {
    const isGone = ({ state }: Worker) => Number(state === "lost" || state === "stopped");
    this.#sorted ??= [...this.#workers.values()].sort(
      (a, b) =>
        isGone(a) - isGone(b) ||
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
      const onStatus = (status: StreamStatus): void => {
        // Every connection tells all workers first: those that it does not tell are gone.
        if (status.status === "connected") this.#untold = new Set(this.#workers.keys());
        this.contacts[1].note(status);
      };
      for await (const change of api.followWorkers({ signal, patience: watchPatience, onStatus })) {
        this.#takeWorker(change);
        this.#options.onChange();
      }
      await sleep(againMs, signal);
    }
  }

  #takeWorker(change: WorkerChange): void {
    this.#sorted = undefined;
    if (change.kind === "worker") {
      this.#workers.set(change.worker.workerId, change.worker);
      this.#untold.delete(change.worker.workerId);
    } else if (change.kind === "left") this.#workers.delete(change.workerId);
    else {
      for (const workerId of this.#untold) this.#workers.delete(workerId);
      this.hasWorkers = true;
    }
  }
}
