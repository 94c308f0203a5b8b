import { untilAborted } from "../retry.ts";

interface Job<T> {
  result: Promise<T>;
  stop: AbortController;
  members: number;
}

/** Work that several callers need at the same time and that is done once; it is given up when the last of them is gone. */
export class SharedWork<T> {
  readonly #jobs = new Map<string, Job<T>>();

  /** Joins the work of this name or starts it. The signal takes this caller out; it then throws the signal's reason. */
  async join(name: string, signal: AbortSignal, work: (shared: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const job = this.#jobs.get(name) ?? this.#start(name, work);
    job.members++;
    try {
      const settled = await untilAborted(
        job.result.then((value) => ({ value })),
        signal,
      );
      if (settled === undefined) throw signal.reason;
      return settled.value;
    } finally {
      job.members--;
      if (job.members === 0) {
        // Whoever comes now starts anew instead of joining something that is being given up.
        if (this.#jobs.get(name) === job) this.#jobs.delete(name);
        job.stop.abort(new Error("nobody waits for it any more"));
      }
    }
  }

  #start(name: string, work: (shared: AbortSignal) => Promise<T>): Job<T> {
    const stop = new AbortController();
    const job: Job<T> = { result: work(stop.signal), stop, members: 0 };
    // A failure is told to the members; when all are gone it must not be an unhandled one.
    job.result.catch(() => undefined);
    this.#jobs.set(name, job);
    return job;
  }
}
