import type { StreamStatus } from "../../shared/api-client/index.ts";

/** Streams are replaced from time to time; contact that is lost for longer makes what is shown out of date. */
export const staleMs = 2_500;

/** Who looks at a screen waits as long as it takes, and wants to see at once that contact is back. */
export const watchPatience = {
  giveUpAfterMs: Number.POSITIVE_INFINITY,
  backoff: { firstMs: 200, longestMs: 2_000 },
};

/** Whether what a stream tells is up to date. */
export class Contact {
  readonly #now: () => number;
  #lostSinceMs: number | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Since when there is none. */
  get lostSinceMs(): number | undefined {
    return this.#lostSinceMs;
  }

  readonly note = ({ status }: Pick<StreamStatus, "status">): void => {
    if (status === "connected") this.#lostSinceMs = undefined;
    else this.#lostSinceMs ??= this.#now();
  };
}
