import type { Worker } from "../../shared/api/schemas.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { Live, type LiveRun, type PageView } from "./live.ts";

const byName = new Intl.Collator("en", { numeric: true });

/** The workers that live and those that went lately, as they change, always in the same order. */
export class WorkersFeed extends Live {
  readonly #api: Pick<ApiClient, "followWorkers">;
  readonly #known = new Map<string, Worker>();
  #sorted: readonly Worker[] | undefined;
  /** Whether all of them have been told. */
  isWhole = false;

  constructor(api: Pick<ApiClient, "followWorkers">, page?: PageView) {
    super(page);
    this.#api = api;
  }

  protected override get renews(): boolean {
    return true;
  }

  /** By pool and machine, the newest of a machine first: whatever becomes of a worker, its place stays. */
  get workers(): readonly Worker[] {
    this.#sorted ??= [...this.#known.values()].sort(compareWorkers);
    return this.#sorted;
  }

  protected override async follow({ options }: LiveRun): Promise<void> {
    // Of the workers that are told from the start again those are left out whose records went meanwhile.
    let told = new Set<string>();
    for await (const news of this.#api.followWorkers(options)) {
      if (news.kind === "worker") {
        told.add(news.worker.workerId);
        this.#known.set(news.worker.workerId, news.worker);
      } else if (news.kind === "left") {
        this.#known.delete(news.workerId);
      } else {
        for (const workerId of this.#known.keys()) if (!told.has(workerId)) this.#known.delete(workerId);
        told = new Set();
        this.isWhole = true;
      }
      this.#sorted = undefined;
      this.tell();
    }
  }
}

function compareWorkers(a: Worker, b: Worker): number {
  return byName.compare(a.pool, b.pool) || byName.compare(a.host, b.host) || (a.workerId > b.workerId ? -1 : 1);
}
