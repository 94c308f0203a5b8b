/**
 * The one definition of the table: the local stack creates it from here, the cloud's stack is built from it, the
 * repository reads and writes by it.
 */
export const tableDefinition = {
  partitionKey: "pk",
  sortKey: "sk",
  ttlAttribute: "expiresAt",
  streamViewType: "NEW_AND_OLD_IMAGES",
  /** Indexes hold keys only: a change of a digest or a task that moves no index key costs no index write. */
  indexes: {
    /** Lists in order of creation: jobs, workers. */
    byList: { partitionKey: "listPk", sortKey: "listSk" },
    /** Sparse: what a schedule has to look at, by when (`dueAt`, ISO 8601). */
    byDue: { partitionKey: "duePk", sortKey: "dueAt" },
    /** Sparse: jobs that have not ended and workers that have not stopped, by pool in order of creation. */
    byActive: { partitionKey: "activePk", sortKey: "activeSk" },
  },
} as const;

/** Number of partitions of the `byDue` index, so that many changes at once do not meet in one. */
export const dueShardCount = 4;

/**
 * Stream consumers and the records each wants, in the form of Lambda's event filters. A consumer sees a record that
 * matches any of its patterns.
 */
export const streamConsumers = {
  /** Task items with transitions that no digest has counted yet. */
  fold: [{ dynamodb: { NewImage: { unfolded: { N: [{ exists: true }] } } } }],
  /** Work on a whole job that goes on after a request was answered. */
  chores: [
    {
      eventName: ["INSERT", "MODIFY"],
      // A chore that rests has no due entry.
      dynamodb: { Keys: { sk: { S: [{ prefix: "CHORE#" }] } }, NewImage: { duePk: { S: [{ exists: true }] } } },
    },
  ],
} as const;

/** How the stream is handed to its consumers; a record that keeps failing holds up its shard no longer than this. */
export const streamDelivery = {
  /** Records of one call, at most. */
  batchSize: 100,
  /** Tries of a failing record after the first; then it is put aside, and the sweep finds what it told. */
  maximumRetryAttempts: 20,
} as const;
