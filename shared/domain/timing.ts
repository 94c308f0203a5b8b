/**
 * The times that parts of Sluice agree on. They hang together: three heartbeats fit into a lease, a lease into the
 * visibility timeout, a drain into the visibility timeout (a test holds them to it).
 */
export const timing = {
  /** A worker tells that it lives, and renews its leases and visibility, this often. */
  heartbeatMs: 5_000,
  /** Without a renewal for this long an attempt may be taken from its worker. */
  leaseMs: 30_000,
  /** A worker that was not heard of for this long, three heartbeats, counts as silent. */
  workerSilentMs: 15_000,
  /** SQS hides a received message this long; renewed with the lease. */
  visibilityTimeoutSeconds: 30,
  /** Longest wait of one receive call (the most SQS allows). */
  receiveWaitSeconds: 20,
  /** Messages live this long in a queue (the most SQS allows). */
  messageRetentionSeconds: 14 * 24 * 3600,
  /** From SIGTERM to SIGKILL for a step. */
  killGraceMs: 10_000,
  /** Uploads of an attempt that ended, and its manifest, are tried for this long. */
  uploadDeadlineMs: 120_000,
  /**
   * A worker that has not ended an attempt so long after its timeout (or after it was told to) will not: time for the
   * next heartbeat, for the steps to end, for the uploads and for the report.
   */
  overdueMs: 150_000,
  /** From a worker's SIGTERM to its exit. */
  drainMs: 25_000,
  /** A task without a timeout of its own. */
  defaultTaskTimeoutMs: 6 * 3600_000,
  /** A task that waits again is announced again if nobody has claimed it so long after it could be claimed. */
  announceAgainMs: 60_000,
  /** The longest time between two announcements of one waiting task. */
  longestAnnounceMs: 12 * 3600_000,
  /** Lines of a running step reach the bucket at most this late: so much of a log dies with its worker. */
  logFlushMs: 1_500,
  /** The same while somebody watches. */
  watchedLogFlushMs: 500,
  /** How often it is looked what attempts use: so much dies with a worker that is killed. */
  sampleMs: 5_000,
} as const;

/** Receives of one message before it goes to the dead-letter queue. Releases count too, so this is generous. */
export const maxReceiveCount = 20;

/** Attempts at one task when infrastructure keeps failing under it. */
export const maxInfrastructureAttempts = 5;

/** Attempts at one task whatever ended them: it is one item, which keeps them all. */
export const maxAttempts = 50;
