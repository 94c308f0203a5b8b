import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { CheckpointStore } from "./stream-source.ts";

/**
 * Checkpoints in a small database. They may be lost back to an older one (`synchronous = NORMAL`): functions on a
 * stream are idempotent, records are then seen twice.
 */
export function openCheckpoints(file: string): CheckpointStore & { close(): void } {
  mkdirSync(dirname(file), { recursive: true });
  const db = new DatabaseSync(file);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;");
  db.exec("CREATE TABLE IF NOT EXISTS checkpoint (name TEXT PRIMARY KEY, sequence TEXT NOT NULL) WITHOUT ROWID");
  const read = db.prepare("SELECT sequence FROM checkpoint WHERE name = ?");
  const write = db.prepare("INSERT OR REPLACE INTO checkpoint (name, sequence) VALUES (?, ?)");
  return {
    get(consumer, shardId) {
      const row = read.get(`${consumer} ${shardId}`) as { sequence: string } | undefined;
      return row?.sequence;
    },
    set(consumer, shardId, sequenceNumber) {
      write.run(`${consumer} ${shardId}`, sequenceNumber);
    },
    close: () => db.close(),
  };
}
