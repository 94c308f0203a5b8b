import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { StatementSync } from "node:sqlite";
import { BlobStore } from "./blobs.ts";
import { BucketTable } from "./bucket-table.ts";
import { Database } from "./database.ts";
import type { Logger } from "./logger.ts";
import type { NewObject, StoredBody, StoredObject } from "./model.ts";
import { ObjectTable } from "./object-table.ts";
import { UploadTable } from "./upload-table.ts";

/** What a change may do beyond the tables: keep the files and their rows in step. */
export interface Transaction {
  /** Makes a finished file part of the index. */
  keepBlob(blobId: string): void;
  /** Takes files out of the index; they are removed after the commit. */
  discardBlobs(blobIds: readonly string[]): void;
}

/** The index and the files of one data folder. */
export class Storage {
  readonly blobs: BlobStore;
  readonly buckets: BucketTable;
  readonly objects: ObjectTable;
  readonly uploads: UploadTable;
  readonly #database: Database;
  readonly #insertBlob: StatementSync;
  readonly #deleteBlob: StatementSync;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  readonly #sweeping: Promise<void>;

  constructor(dataDir: string, logger: Logger) {
    mkdirSync(dataDir, { recursive: true });
    this.#database = new Database(join(dataDir, "index.sqlite"));
    this.#logger = logger;
    this.blobs = new BlobStore(join(dataDir, "blobs"), this.#database.incrementCounter("run"), logger);
    this.buckets = new BucketTable(this.#database);
    this.objects = new ObjectTable(this.#database);
    this.uploads = new UploadTable(this.#database);
    this.#insertBlob = this.#database.sql.prepare("INSERT INTO blobs VALUES (?)");
    this.#deleteBlob = this.#database.sql.prepare("DELETE FROM blobs WHERE blob_id = ?");
    this.#sweeping = this.#sweepOrphans();
  }

  /** Applies a change to the index; resolves when it is committed. What it throws undoes it. */
  async write<T>(change: (transaction: Transaction) => T): Promise<T> {
    const discarded: string[] = [];
    const result = await this.#database.write(() => {
      const transaction: Transaction = {
        keepBlob: (blobId) => this.#insertBlob.run(blobId),
        discardBlobs: (blobIds) => {
          for (const blobId of blobIds) this.#deleteBlob.run(blobId);
          discarded.push(...blobIds);
        },
      };
      return change(transaction);
    });
    // Only now: until the commit the index may still fall back to what refers to these files.
    this.blobs.remove(discarded);
    return result;
  }

  /** Stores an object, in place of another one under its key; within a change. */
  putObject(transaction: Transaction, object: NewObject): void {
    const previous = this.objects.find(object.bucket, object.key);
    if (previous?.segments) transaction.discardBlobs(previous.segments.map(({ blobId }) => blobId));
    this.objects.put(object);
  }

  /** Removes an object; within a change. */
  removeObject(transaction: Transaction, object: StoredObject): void {
    this.objects.remove(object.objectId);
    if (object.segments) transaction.discardBlobs(object.segments.map(({ blobId }) => blobId));
  }

  /** Removes an open upload and its parts; within a change. */
  removeUpload(transaction: Transaction, uploadId: string): void {
    transaction.discardBlobs(this.uploads.listParts(uploadId).map(({ segment }) => segment.blobId));
    this.uploads.remove(uploadId);
  }

  /** Removes the files of a body that did not make it into the index. */
  dropBody(body: StoredBody): void {
    if (body.kind === "files") this.blobs.remove(body.segments.map(({ blobId }) => blobId));
  }

  /** Gives some of the space of removed objects back to the disk; false when there is nothing to give back. */
  reclaimSpace(): boolean {
    return this.#database.reclaimSpace();
  }

  /** Resolves when the files that earlier runs left behind are gone. */
  get swept(): Promise<void> {
    return this.#sweeping;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#sweeping;
    this.#database.flush();
    await this.blobs.close();
    this.#database.close();
  }

  async #sweepOrphans(): Promise<void> {
    const find = this.#database.sql.prepare("SELECT 1 FROM blobs WHERE blob_id = ?");
    try {
      const removed = await this.blobs.sweepOrphans((blobId) => find.get(blobId) !== undefined, this.#closing.signal);
      if (removed > 0) this.#logger.info({ removed }, "removed files of uploads that were cut off");
    } catch (error) {
      this.#logger.error({ err: error }, "could not look for files of uploads that were cut off");
    }
  }
}
