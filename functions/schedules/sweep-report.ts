/** What one run of the sweep found to do; `failed` counts what it could not do (see the log), and will try again. */
export interface SweepReport {
  folded: number;
  chores: number;
  dispatched: number;
  /** Jobs past their timeout, and attempts that their workers did not end. */
  timedOut: number;
  rescued: number;
  /** Workers that were silent for three heartbeats. */
  workersLost: number;
  /** Blobs of images that had not been used for long. */
  blobsRemoved: number;
  failed: number;
}

/** What one thing that was due came to. */
export type SweptUnit = Partial<Omit<SweepReport, "failed">>;
