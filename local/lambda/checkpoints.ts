import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { CheckpointStore } from "./stream-source.ts";

/** Checkpoints in a file that other processes may read. */
interface CheckpointFile extends CheckpointStore {
  /** The places of a consumer in all shards. */
  list(consumer: string): string[];
  close(): void;
}

/**
 * Checkpoints in a small database. They may be lost back to an older one (`synchronous = NORMAL`): functions on a
 * stream are idempotent, records are then seen twice.
 */
export function openCheckpoints(file: string): CheckpointFile {
  mkdirSync(dirname(file), { recursive: true });
  const db = new DatabaseSync(file);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;");
  db.exec("CREATE TABLE IF NOT EXISTS checkpoint (name TEXT PRIMARY KEY, sequence TEXT NOT NULL) WITHOUT ROWID");
  const read = db.prepare("SELECT sequence FROM checkpoint WHERE name = ?");
  // "!" follows the space that ends a consumer's name: the range holds all its shards.
  const readAll = db.prepare("SELECT sequence FROM checkpoint WHERE name > ? AND name < ?");
  const write = db.prepare("INSERT OR REPLACE INTO checkpoint (name, sequence) VALUES (?, ?)");
  return {
    get(consumer, shardId) {
      const row = read.get(`${consumer} ${shardId}`) as { sequence: string } | undefined;
      return row?.sequence;
    },
    set(consumer, shardId, sequenceNumber) {
      write.run(`${consumer} ${shardId}`, sequenceNumber);
    },
    list(consumer) {
      const rows = readAll.all(`${consumer} `, `${consumer}!`) as { sequence: string }[];
      return rows.map((row) => row.sequence);
    },
    close: () => db.close(),
  };
}
