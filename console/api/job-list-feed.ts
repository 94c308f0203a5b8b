import type { Job } from "../../shared/api/schemas.ts";
import type { ApiClient, JobChange, JobQuery } from "../../shared/api-client/index.ts";
import { Live, type LiveRun, type PageView } from "./live.ts";

const pageSize = 50;
/** Only so many of the newest jobs are followed: what changes of older ones is not told. */
export const followedJobs = pageSize;
/** After so many new ones the list begins again: a page that is left open must not grow all day. */
const mostNew = 500;

/** The jobs that are wanted: a page, then what changes of it and what is new; older ones when they are asked for. */
export class JobListFeed extends Live {
  readonly #api: Pick<ApiClient, "listJobs" | "followJobs">;
  #filter: JobQuery;
  /** What was wanted when `jobs` were read. */
  #readFor: JobQuery | undefined;
  jobs: readonly Job[] = [];
  /** Where the older ones begin; undefined where there are none. */
  older: string | undefined;
  isReading = true;
  /** When those that are not followed were read last (ms since the epoch). */
  olderReadAtMs: number | undefined;
  /** Why the older ones could not be read. */
  olderError: Error | undefined;

  constructor(api: Pick<ApiClient, "listJobs" | "followJobs">, filter: JobQuery, page?: PageView) {
    super(page);
    this.#api = api;
    this.#filter = filter;
  }

  protected override get renews(): boolean {
    return true;
  }

  /** Others are wanted: those before stay until they are there. */
  want(filter: JobQuery): void {
    if (filter === this.#filter) return;
    this.#filter = filter;
    this.resume();
  }

  /** Reads all of it again, such as after a failure. */
  readonly restart = (): void => {
    this.#readFor = undefined;
    this.resume();
  };

  readonly readOlder = async (): Promise<void> => {
    const filter = this.#filter;
    this.#change({ isReading: true });
    try {
      const page = await this.#api.listJobs({ ...filter, limit: pageSize, cursor: this.older });
      // Other jobs may be wanted by now.
      if (this.#readFor !== filter) return;
      this.olderError = undefined;
      this.olderReadAtMs ??= Date.now();
      this.#change({ jobs: page.jobs.reduce(takeJob, this.jobs), older: page.cursor, isReading: false });
    } catch (error) {
      if (this.#readFor === filter) this.#noteOlderError(error);
    }
  };

  /** Reads those that are not followed again, as far as they are listed. */
  readonly rereadOlder = async (): Promise<void> => {
    const filter = this.#filter;
    const oldest = this.jobs.at(-1)?.createdAt ?? "";
    this.#change({ isReading: true });
    try {
      const read: Job[] = [];
      for (let cursor: string | undefined; ; ) {
        const page = await this.#api.listJobs({ ...filter, limit: pageSize, cursor });
        read.push(...page.jobs);
        cursor = page.cursor;
        if (cursor === undefined || (read.at(-1)?.createdAt ?? "") <= oldest) break;
      }
      if (this.#readFor !== filter) return;
      this.olderError = undefined;
      this.olderReadAtMs = Date.now();
      // What is not listed any more has left the filter.
      const listed = this.jobs.slice(0, followedJobs);
      this.#change({ jobs: read.reduce(takeJob, listed), isReading: false });
    } catch (error) {
      if (this.#readFor === filter) this.#noteOlderError(error);
    }
  };

  #noteOlderError(error: unknown): void {
    this.olderError = error instanceof Error ? error : new Error(String(error));
    this.#change({ isReading: false });
  }

  protected override async follow({ signal, options }: LiveRun): Promise<void> {
    const filter = this.#filter;
    this.olderError = undefined;
    this.#change({ isReading: true });
    try {
      const page = await this.#api.listJobs({ ...filter, limit: pageSize }, { signal });
      // What left the filter meanwhile is not told.
      const mayKeep = this.#readFor === filter && Object.values(filter).every((value) => value === undefined);
      // A page that was in the background keeps what it has, unless more jobs came meanwhile than a page holds.
      const goesOn = mayKeep && page.jobs.some(({ job }) => this.jobs.some((known) => known.job === job));
      this.#readFor = filter;
      if (!goesOn) this.olderReadAtMs = undefined;
      this.#change(goesOn ? { jobs: page.jobs.reduce(takeJob, this.jobs) } : { jobs: page.jobs, older: page.cursor });
    } finally {
      // Else another run is reading.
      if (!signal.aborted) this.#change({ isReading: false });
    }
    let newJobs = 0;
    for await (const change of this.#api.followJobs({ ...filter, limit: pageSize }, options)) {
      const before = this.jobs.length;
      this.#change({ jobs: takeChange(this.jobs, change) });
      if (this.jobs.length > before && ++newJobs >= mostNew) return this.restart();
    }
  }

  #change(part: Partial<Pick<JobListFeed, "jobs" | "older" | "isReading">>): void {
    Object.assign(this, part);
    // New ones push others out of what is followed.
    if (this.jobs.length > followedJobs) this.olderReadAtMs ??= Date.now();
    this.tell();
  }
}

function takeChange(jobs: readonly Job[], change: JobChange): readonly Job[] {
  if (change.kind === "left") return jobs.filter(({ job }) => job !== change.jobId);
  return takeJob(jobs, change.job);
}

/** A job takes the place of what was known of it, or its own among the others. */
function takeJob(jobs: readonly Job[], job: Job): readonly Job[] {
  const at = jobs.findIndex((known) => known.job === job.job);
  if (at >= 0) return jobs.with(at, job);
  return [...jobs, job].sort((a, b) => b.createdAt.localeCompare(a.createdAt));
}
