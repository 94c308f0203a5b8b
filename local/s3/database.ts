import { DatabaseSync } from "node:sqlite";

/** The version of the tables below; a data folder with another one is refused. */
const schemaVersion = 1;

/** Free pages that are kept for what comes next; beyond that the file shrinks, in steps of at most so many. */
const keptFreePages = 5_000;
const reclaimedPages = 500;

const schema = `
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE buckets (
    bucket TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, lifecycle TEXT, cors TEXT, tagging TEXT
  ) STRICT, WITHOUT ROWID;
  -- The small body comes last: whoever lists objects never reads the pages it spills over to.
  CREATE TABLE objects (
    object_id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, modified_ms INTEGER NOT NULL, attributes TEXT NOT NULL, tags TEXT,
    layout TEXT, body BLOB
  ) STRICT;
  CREATE UNIQUE INDEX objects_by_key ON objects (bucket, key);
  CREATE TABLE uploads (
    upload_id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, started_ms INTEGER NOT NULL,
    attributes TEXT NOT NULL, tags TEXT, checksum TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX uploads_by_key ON uploads (bucket, key, upload_id);
  CREATE TABLE parts (
    upload_id TEXT NOT NULL, part_number INTEGER NOT NULL, etag TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL, blob_id TEXT NOT NULL, checksum TEXT, PRIMARY KEY (upload_id, part_number)
  ) STRICT, WITHOUT ROWID;
  -- Every file that an object or a part refers to. A file without a row is an orphan.
  CREATE TABLE blobs (blob_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
`;

interface PendingChange {
  run: () => void;
  succeed: () => void;
  fail: (error: unknown) => void;
}

/**
 * The index: one SQLite file. All changes of one event-loop turn share a transaction, each in a savepoint of its own,
 * and are acknowledged after the commit.
 *
 * Durability: write-ahead log with `synchronous = NORMAL`. What was acknowledged survives the end of the process at any
 * moment (`kill -9`). A power cut can take the last commits back, but never half of one; and because files are flushed
 * before they are indexed, an index entry does not point at missing data (on file systems that keep a journal).
 */
export class Database {
  readonly sql: DatabaseSync;
  #pending: PendingChange[] = [];
  #flushing: NodeJS.Immediate | undefined;

  constructor(file: string) {
    this.sql = new DatabaseSync(file);
    try {
      // Has to come before the first table.
      this.sql.exec("PRAGMA auto_vacuum = INCREMENTAL");
      // Exclusive: a second server on the same folder fails here, at its start, instead of corrupting anything later.
      this.sql.exec("PRAGMA locking_mode = EXCLUSIVE");
      this.sql.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 2000");
      this.#prepareSchema(file);
    } catch (error) {
      this.sql.close();
      if (isSqliteError(error, 5)) {
        throw new Error(`${file} is in use by another server. Stop it, or choose another data folder.`, {
          cause: error,
        });
      }
      throw error;
    }
  }

  /** Runs a change in the turn's transaction. What it throws undoes this change alone and rejects the promise. */
  write<T>(change: () => T): Promise<T> {
    if (!this.sql.isOpen) return Promise.reject(new Error("the server has been closed"));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let result: { value: T } | undefined;
    this.#pending.push({
      run: () => {
        result = { value: change() };
      },
      succeed: () => {
        if (result) resolve(result.value);
      },
      fail: reject,
    });
    this.#flushing ??= setImmediate(() => this.flush());
    return promise;
  }

  /** Commits what is pending. */
  flush(): void {
    clearImmediate(this.#flushing);
    this.#flushing = undefined;
    const changes = this.#pending;
    this.#pending = [];
    if (changes.length === 0) return;
    const failures = new Map<PendingChange, unknown>();
    try {
      this.sql.exec("BEGIN IMMEDIATE");
      for (const change of changes) this.#runInSavepoint(change, failures);
      this.sql.exec("COMMIT");
    } catch (error) {
      if (this.sql.isTransaction) this.sql.exec("ROLLBACK");
      for (const change of changes) change.fail(failures.get(change) ?? error);
      return;
    }
    for (const change of changes) {
      if (failures.has(change)) change.fail(failures.get(change));
      else change.succeed();
    }
  }

  close(): void {
    if (!this.sql.isOpen) return;
    this.flush();
    this.sql.close();
  }

  /** Gives some of the space of removed objects back to the disk; false when there is nothing to give back. */
  reclaimSpace(): boolean {
    const freePages = Number(this.sql.prepare("PRAGMA freelist_count").get()?.freelist_count);
    if (freePages <= keptFreePages) return false;
    this.sql.exec(`PRAGMA incremental_vacuum(${Math.min(reclaimedPages, freePages - keptFreePages)})`);
    return true;
  }

  /** Adds one to a lasting counter and gives its new value. */
  incrementCounter(name: string): number {
    const row = this.sql
      .prepare("INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value")
      .get(name);
    return Number(row?.value);
  }

  #runInSavepoint(change: PendingChange, failures: Map<PendingChange, unknown>): void {
    this.sql.exec("SAVEPOINT change");
    try {
      change.run();
      this.sql.exec("RELEASE change");
    } catch (error) {
      failures.set(change, error);
      // A full disk can end the whole transaction; the COMMIT that follows then fails for everybody.
      if (this.sql.isTransaction) this.sql.exec("ROLLBACK TO change; RELEASE change");
    }
  }

  #prepareSchema(file: string): void {
    const version = Number(this.sql.prepare("PRAGMA user_version").get()?.user_version);
    if (version === schemaVersion) return;
    if (version !== 0) {
      throw new Error(
        `${file} was written by another version of Sluice (format ${version}, this one reads ${schemaVersion}). Use that version, or start with an empty data folder.`,
      );
    }
    this.sql.exec(`BEGIN; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT`);
  }
}

/** Whether an error is SQLite's with this primary result code (5 busy, 13 disk full). */
export function isSqliteError(error: unknown, primaryCode: number): boolean {
  return (
    error instanceof Error &&
    "errcode" in error &&
    typeof error.errcode === "number" &&
    (error.errcode & 0xff) === primaryCode
  );
}
