import type { FleetEvent, FleetEventType } from "../../events/index.ts";
import type { Overview, OverviewPart, WorkerDetail } from "../api/overview-schemas.ts";
import type { FleetEventPage, ForgottenPool, Pool, PoolList, Worker, WorkerPage } from "../api/schemas.ts";
import type { CallOptions, FollowOptions } from "./call-options.ts";
import { type Calls, eachPage } from "./calls.ts";

/** Which events of pools and workers to read. */
export interface FleetEventQuery {
  pool?: string | undefined;
  worker?: string | undefined;
  type?: FleetEventType | undefined;
}

/**
 * A worker that is new or has changed, or one that is not among those that are followed any more. `ready`: all that were
 * there when the connection began have been told.
 */
export type WorkerChange = { kind: "worker"; worker: Worker } | { kind: "left"; workerId: string } | { kind: "ready" };

/** The part of the client that is about everything at once, and about pools and workers. */
export interface FleetClient {
  /** How everything is now: all parts, or those named. */
  getOverview(parts?: readonly OverviewPart[], options?: CallOptions): Promise<Overview>;
  /** The same for as long as it is followed: each part, and again whenever it has changed. One at a time. */
  followOverview(parts?: readonly OverviewPart[], options?: FollowOptions): AsyncGenerator<Overview>;
  /** All workers on record, the newest first, page by page as they are taken. */
  eachWorker(options?: CallOptions): AsyncGenerator<Worker>;
  /**
   * Workers that live and that went lately, or only the one that is named, each once and again whenever it has changed.
   * A connection that was lost is resumed by telling all of them again.
   */
  followWorkers(options?: FollowOptions & { worker?: string | undefined }): AsyncGenerator<WorkerChange>;
  /** A worker with the tasks that it holds and its newest events. */
  getWorker(workerId: string, options?: CallOptions): Promise<WorkerDetail>;
  /** Asks a worker to drain, or to go on after all. */
  askWorker(workerId: string, wish: "drain" | "undrain", options?: CallOptions): Promise<void>;
  listPools(options?: CallOptions): Promise<PoolList>;
  /** Says how many workers a pool should have; null: nobody says. */
  desireWorkers(pool: string, desired: number | null, options?: CallOptions): Promise<Pool>;
  /** Removes the records of a pool's past workers page by page, or tells which would be removed. */
  eachForgotten(pool: string, apply: boolean, options?: CallOptions): AsyncGenerator<ForgottenPool>;
  /** Events of pools and workers, the newest first, page by page as they are taken. */
  eachFleetEvent(query?: FleetEventQuery, options?: CallOptions): AsyncGenerator<FleetEvent>;
}

/** Creates that part of the client. */
export function createFleetClient({ get, post, put, followStream }: Calls): FleetClient {
  return {
    getOverview: (parts, call) => get("/v1/overview", { parts: parts?.join(",") }, call),
    followOverview: async function* (parts, follow = {}) {
      for await (const { data } of followStream("/v1/overview", () => ({ parts: parts?.join(",") }), follow)) {
        yield JSON.parse(data) as Overview;
      }
    },
    eachWorker: async function* (call) {
      const pages = eachPage((cursor) => get<WorkerPage>("/v1/workers", { limit: 100, cursor }, call));
      for await (const page of pages) yield* page.workers;
    },
    followWorkers: async function* (follow = {}) {
      const { worker } = follow;
      for await (const { event, data } of followStream("/v1/workers", () => ({ worker }), follow)) {
        if (event === "worker") yield { kind: "worker", worker: JSON.parse(data) as Worker };
        if (event === "ready") yield { kind: "ready" };
        if (event === "left") yield { kind: "left", ...(JSON.parse(data) as { workerId: string }) };
      }
    },
    getWorker: (workerId, call) => get(workerPath(workerId), {}, call),
    askWorker: async (workerId, wish, call) => {
      await post(`${workerPath(workerId)}/${wish}`, {}, call);
    },
    listPools: (call) => get("/v1/pools", {}, call),
    desireWorkers: (pool, desired, call) => put(`/v1/pools/${encodeURIComponent(pool)}/desired`, { desired }, call),
    eachForgotten: (pool, apply, call) =>
      eachPage((cursor) =>
        post<ForgottenPool>(`/v1/admin/pools/${encodeURIComponent(pool)}/forget`, { apply, cursor }, call),
      ),
    eachFleetEvent: async function* (query = {}, call) {
      const pages = eachPage((cursor) => get<FleetEventPage>("/v1/history/events", { ...query, cursor }, call));
      for await (const page of pages) yield* page.events;
    },
  };
}

function workerPath(workerId: string): string {
  return `/v1/workers/${encodeURIComponent(workerId)}`;
}
