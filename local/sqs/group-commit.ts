import type { DatabaseSync, StatementSync } from "node:sqlite";

/** The store could not write; everything of the open transaction is undone. */
export class StorageError extends Error {
  override readonly name = "StorageError";
}

/**
 * One transaction for everything that is written within one turn of the event loop. SQLite is synchronous and a commit
 * is what costs, so a hundred requests that arrive together share one. Who wrote waits for `settled()` before it
 * acknowledges anything.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #beforeCommit: () => void;
  readonly #onFailure: (cause: unknown) => void;
  #open: PromiseWithResolvers<void> | undefined;

  /** `beforeCommit` runs inside each transaction; `onFailure` is told after one was undone. */
  constructor(database: DatabaseSync, beforeCommit: () => void, onFailure: (cause: unknown) => void) {
    this.#database = database;
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#beforeCommit = beforeCommit;
    this.#onFailure = onFailure;
  }

  /** Runs statements inside the turn's transaction. If one fails, all of the turn's are undone and StorageError thrown. */
  write<T>(work: () => T): T {
    try {
      this.#ensureOpen();
      return work();
    } catch (cause) {
      throw this.#undo(cause);
    }
  }

  /** Resolves when all that was written so far is durable; rejects with StorageError if it is undone. */
  settled(): Promise<void> {
    return this.#open?.promise ?? Promise.resolve();
  }

  /** Commits now, for the end of the server. */
  flush(): void {
    const open = this.#open;
    if (open === undefined) return;
    try {
      this.#beforeCommit();
      this.#commit.run();
    } catch (cause) {
      this.#undo(cause);
      return;
    }
    this.#open = undefined;
    open.resolve();
  }

  #ensureOpen(): void {
    if (this.#open !== undefined) return;
    this.#begin.run();
    const open = Promise.withResolvers<void>();
    // Whoever waits gets the rejection; the failure itself is reported by onFailure, also when nobody waits.
    open.promise.catch(() => undefined);
    this.#open = open;
    setImmediate(() => {
      if (this.#open === open) this.flush();
    });
  }

  #undo(cause: unknown): StorageError {
    const open = this.#open;
    this.#open = undefined;
    // SQLite has rolled back by itself for some errors, a full disk among them.
    if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    const error = new StorageError(`The queue data could not be written: ${describe(cause)}`, { cause });
    open?.reject(error);
    this.#onFailure(error);
    return error;
  }
}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
