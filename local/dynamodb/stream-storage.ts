import { DatabaseSync } from "node:sqlite";
import { setImmediate as yieldToEventLoop } from "node:timers/promises";

/** Where a stream's reader stands and how long what it has read is kept. */
export type StreamTrim = {
  readonly tableName: string;
  /** Sequence number of the last record that every reader has finished with. */
  readonly throughSequenceNumber: string;
  /** Records younger than this are kept; DynamoDB keeps a day. */
  readonly retentionMs?: number;
  readonly now?: Date;
};

const DAY_MS = 24 * 60 * 60 * 1000;
const BUSY_TIMEOUT_MS = 5_000;
/** Small enough that the server, which waits for the write lock meanwhile, is held up for milliseconds only. */
const TRIM_BATCH_ROWS = 500;

/**
 * dynoxide keeps stream records in one SQLite table without an index and looks up the highest sequence number on every
 * write: 2 ms a write at first, 20 ms after 40,000 records, with no end. These indexes make it flat (1.3 ms at 100,000).
 * They hold the very expressions of dynoxide's queries, as SQLite uses an index on an expression only for the same one.
 */
const STREAM_INDEXES = `
  CREATE INDEX IF NOT EXISTS sluice_stream_last
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
  CREATE INDEX IF NOT EXISTS sluice_stream_order
    ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER), sequence_number);
`;

const DELETE_BATCH = `
  DELETE FROM _stream_records WHERE id IN (
    SELECT id FROM _stream_records
    WHERE table_name = :tableName
      AND CAST(sequence_number AS INTEGER) <= :through
      AND CAST(sequence_number AS INTEGER) <
        (SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = :tableName)
      AND created_at <= :cutoffSeconds
    ORDER BY CAST(sequence_number AS INTEGER)
    LIMIT ${TRIM_BATCH_ROWS}
  )`;

/** Adds the indexes that keep streams fast to a database that dynoxide has open; repeats change nothing. */
export function indexStreamRecords(databaseFile: string): void {
  const database = openShared(databaseFile);
  try {
    database.exec(STREAM_INDEXES);
  } finally {
    database.close();
  }
}

/**
 * Removes stream records that were read and are old enough, in small transactions, and returns how many went. dynoxide
 * never removes any. The newest record of a table always stays: the next sequence number is counted from it.
 */
export async function trimStreamRecords(databaseFile: string, trim: StreamTrim): Promise<number> {
  const cutoffSeconds = Math.floor(((trim.now ?? new Date()).getTime() - (trim.retentionMs ?? DAY_MS)) / 1000);
  const bounds = { tableName: trim.tableName, through: BigInt(trim.throughSequenceNumber), cutoffSeconds };
  const database = openShared(databaseFile);
  try {
    const deleteBatch = database.prepare(DELETE_BATCH);
    let removed = 0;
    for (;;) {
      const changes = Number(deleteBatch.run(bounds).changes);
      removed += changes;
      if (changes < TRIM_BATCH_ROWS) return removed;
      await yieldToEventLoop();
    }
  } finally {
    database.close();
  }
}

function openShared(databaseFile: string): DatabaseSync {
  return new DatabaseSync(databaseFile, { timeout: BUSY_TIMEOUT_MS });
}
