/** Scheduled functions and how often each runs, in seconds. */
export const schedules = {
  /** Folds what a lost trigger left behind, finishes chores, dispatches and times out jobs. */
  sweep: { everySeconds: 60 },
} as const;
