import type { Overview, OverviewPart } from "../../shared/api/overview-schemas.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { addPoint, type Track } from "../overview/track.ts";
import { Live, type LiveRun } from "./live.ts";

/** How everything is, part by part as it changes, and how many messages waited in each pool's queue meanwhile. */
export class OverviewFeed extends Live {
  readonly #api: ApiClient;
  readonly #parts: readonly OverviewPart[] | undefined;
  readonly #now: () => number;
  #known: Partial<Overview> = {};
  #waiting: ReadonlyMap<string, Track> = new Map();

  /** All parts unless some are named. */
  constructor(api: ApiClient, parts?: readonly OverviewPart[], now: () => number = Date.now) {
    super();
    this.#api = api;
    this.#parts = parts;
    this.#now = now;
  }

  /** The parts that are known so far. */
  get known(): Partial<Overview> {
    return this.#known;
  }

  /** By pool, since this feed was made. */
  get waiting(): ReadonlyMap<string, Track> {
    return this.#waiting;
  }

  protected override async follow({ options }: LiveRun): Promise<void> {
    try {
      for await (const news of this.#api.followOverview(this.#parts, options)) {
        this.#known = { ...this.#known, ...news };
        for (const { pool, visible } of news.queues ?? []) this.#note(pool, visible);
        this.tell();
      }
    } finally {
      this.noteCut();
    }
  }

  /** What waits from now on is not seen. */
  protected override noteCut(): void {
    for (const pool of this.#waiting.keys()) this.#note(pool, undefined);
  }

  #note(pool: string, value: number | undefined): void {
    const track = addPoint(this.#waiting.get(pool) ?? [], { atMs: this.#now(), value });
    this.#waiting = new Map(this.#waiting).set(pool, track);
  }
}
