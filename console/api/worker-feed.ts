import type { WorkerDetail } from "../../shared/api/overview-schemas.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { Live, type LiveRun } from "./live.ts";

/** One worker with what it holds, read again whenever something about it has changed. */
export class WorkerFeed extends Live {
  readonly workerId: string;
  readonly #api: ApiClient;
  detail: WorkerDetail | undefined;
  /** Its record was removed, which happens to those that ended long ago. */
  isForgotten = false;

  constructor(api: ApiClient, workerId: string) {
    super();
    this.#api = api;
    this.workerId = workerId;
  }

  protected override get renews(): boolean {
    return true;
  }

  protected override async follow({ signal, options, set }: LiveRun): Promise<void> {
    await this.#read(signal);
    set("live");
    for await (const news of this.#api.followWorkers({ ...options, worker: this.workerId })) {
      if (news.kind === "worker" && news.worker.workerId === this.workerId) await this.#read(signal);
      else if (news.kind === "left" && news.workerId === this.workerId) {
        this.isForgotten = true;
        this.tell();
      }
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    this.detail = await this.#api.getWorker(this.workerId, { signal });
    this.isForgotten = false;
    this.tell();
  }
}
