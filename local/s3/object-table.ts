import type { SQLOutputValue, StatementSync } from "node:sqlite";
import type { Segment } from "./blobs.ts";
import type { Database } from "./database.ts";
import type { NewObject, ObjectAttributes, StoredObject, Tag } from "./model.ts";

/** A stretch of a bucket's keys in UTF-8 order: from `from` (itself only if `inclusive`) to below `before`. */
export interface KeyRange {
  from: string;
  inclusive: boolean;
  before: string | undefined;
}

/** SQLite sorts every blob behind every text, so an empty one is the bound above all keys. */
const aboveAllKeys = new Uint8Array(0);
const columns = "object_id, bucket, key, etag, size_bytes, modified_ms, attributes, tags, layout";

/** The objects of the index. Changes belong into `Database.write`. */
export class ObjectTable {
  readonly #find: StatementSync;
  readonly #readBody: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #listFrom: StatementSync;
  readonly #listAfter: StatementSync;
  readonly #putTags: StatementSync;

  constructor({ sql }: Database) {
    this.#find = sql.prepare(`SELECT ${columns} FROM objects WHERE bucket = ? AND key = ?`);
    this.#readBody = sql.prepare("SELECT body FROM objects WHERE object_id = ?");
    this.#put = sql.prepare(`
      INSERT INTO objects (bucket, key, etag, size_bytes, modified_ms, attributes, tags, layout, body)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (bucket, key) DO UPDATE SET etag = excluded.etag, size_bytes = excluded.size_bytes,
        modified_ms = excluded.modified_ms, attributes = excluded.attributes, tags = excluded.tags,
        layout = excluded.layout, body = excluded.body`);
    this.#remove = sql.prepare("DELETE FROM objects WHERE object_id = ?");
    const list = (operator: string) =>
      sql.prepare(
        `SELECT ${columns} FROM objects WHERE bucket = ? AND key ${operator} ? AND key < ? ORDER BY key LIMIT ?`,
      );
    this.#listFrom = list(">=");
    this.#listAfter = list(">");
    this.#putTags = sql.prepare("UPDATE objects SET tags = ? WHERE object_id = ?");
  }

  find(bucket: string, key: string): StoredObject | undefined {
    const row = this.#find.get(bucket, key);
    return row && toObject(row);
  }

  /** The body of an object that has it in the index. */
  readInlineBody(objectId: number): Uint8Array {
    const body = this.#readBody.get(objectId)?.body;
    return body instanceof Uint8Array ? body : new Uint8Array(0);
  }

  /** Stores an object in place of any other under its key. */
  put(object: NewObject): void {
    const { body } = object;
    this.#put.run(
      object.bucket,
      object.key,
      object.etag,
      object.sizeBytes,
      object.modifiedMs,
      JSON.stringify(object.attributes),
      object.tags.length === 0 ? null : JSON.stringify(object.tags),
      body.kind === "inline" ? null : encodeLayout(body.segments),
      body.kind === "inline" ? body.bytes : null,
    );
  }

  remove(objectId: number): void {
    this.#remove.run(objectId);
  }

  putTags(objectId: number, tags: readonly Tag[]): void {
    this.#putTags.run(tags.length === 0 ? null : JSON.stringify(tags), objectId);
  }

  /** At most `limit` objects of a range, in order of their keys. */
  list(bucket: string, range: KeyRange, limit: number): StoredObject[] {
    const statement = range.inclusive ? this.#listFrom : this.#listAfter;
    return statement.all(bucket, range.from, range.before ?? aboveAllKeys, limit).map(toObject);
  }

  /** Whether a bucket has no objects. */
  isEmpty(bucket: string): boolean {
    return this.list(bucket, { from: "", inclusive: true, before: undefined }, 1).length === 0;
  }
}

function toObject(row: Record<string, SQLOutputValue>): StoredObject {
  return {
    objectId: Number(row.object_id),
    bucket: String(row.bucket),
    key: String(row.key),
    etag: String(row.etag),
    sizeBytes: Number(row.size_bytes),
    modifiedMs: Number(row.modified_ms),
    attributes: JSON.parse(String(row.attributes)) as ObjectAttributes,
    tags: row.tags === null ? [] : (JSON.parse(String(row.tags)) as Tag[]),
    segments: row.layout === null ? undefined : decodeLayout(String(row.layout)),
  };
}

function encodeLayout(segments: readonly Segment[]): string {
  return JSON.stringify(segments.map(({ blobId, sizeBytes }) => [blobId, sizeBytes]));
}

function decodeLayout(layout: string): Segment[] {
  return (JSON.parse(layout) as [string, number][]).map(([blobId, sizeBytes]) => ({ blobId, sizeBytes }));
}
