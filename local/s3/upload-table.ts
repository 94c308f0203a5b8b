import type { SQLOutputValue, StatementSync } from "node:sqlite";
import type { Checksum } from "./checksums.ts";
import type { Database } from "./database.ts";
import type { ObjectAttributes, StoredPart, StoredUpload, Tag, UploadChecksum } from "./model.ts";
import type { KeyRange } from "./object-table.ts";

const aboveAllKeys = new Uint8Array(0);
const columns = "upload_id, bucket, key, started_ms, attributes, tags, checksum";

/** The open multipart uploads and their parts. Changes belong into `Database.write`. */
export class UploadTable {
  readonly #find: StatementSync;
  readonly #create: StatementSync;
  readonly #remove: StatementSync;
  readonly #removeParts: StatementSync;
  readonly #listFrom: StatementSync;
  readonly #listAfter: StatementSync;
  readonly #findPart: StatementSync;
  readonly #putPart: StatementSync;
  readonly #listParts: StatementSync;

  constructor({ sql }: Database) {
    this.#find = sql.prepare(`SELECT ${columns} FROM uploads WHERE upload_id = ?`);
    this.#create = sql.prepare(`INSERT INTO uploads (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#remove = sql.prepare("DELETE FROM uploads WHERE upload_id = ?");
    this.#removeParts = sql.prepare("DELETE FROM parts WHERE upload_id = ?");
    const list = (condition: string) =>
      sql.prepare(
        `SELECT ${columns} FROM uploads WHERE bucket = ? AND ${condition} AND key < ? ORDER BY key, upload_id LIMIT ?`,
      );
    this.#listFrom = list("key >= ?");
    this.#listAfter = list("(key, upload_id) > (?, ?)");
    const partColumns = "upload_id, part_number, etag, size_bytes, modified_ms, blob_id, checksum";
    this.#findPart = sql.prepare(`SELECT ${partColumns} FROM parts WHERE upload_id = ? AND part_number = ?`);
    this.#putPart = sql.prepare(`INSERT OR REPLACE INTO parts (${partColumns}) VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#listParts = sql.prepare(
      `SELECT ${partColumns} FROM parts WHERE upload_id = ? AND part_number > ? ORDER BY part_number LIMIT ?`,
    );
  }

  find(uploadId: string): StoredUpload | undefined {
    const row = this.#find.get(uploadId);
    return row && toUpload(row);
  }

  create(upload: StoredUpload): void {
    this.#create.run(
      upload.uploadId,
      upload.bucket,
      upload.key,
      upload.startedMs,
      JSON.stringify(upload.attributes),
      JSON.stringify(upload.tags),
      upload.checksum === undefined ? null : JSON.stringify(upload.checksum),
    );
  }

  /** Removes an upload and its parts. */
  remove(uploadId: string): void {
    this.#remove.run(uploadId);
    this.#removeParts.run(uploadId);
  }

  /**
   * At most `limit` uploads with keys in a range, in order of key and upload id. With `afterUploadId` the range
   * begins behind that upload of the key `range.from`.
   */
  list(bucket: string, range: KeyRange, limit: number, afterUploadId?: string): StoredUpload[] {
    const before = range.before ?? aboveAllKeys;
    if (range.inclusive) return this.#listFrom.all(bucket, range.from, before, limit).map(toUpload);
    // No upload id sorts behind U+10FFFF: without an id, all uploads of the key itself are passed over.
    const uploadId = afterUploadId ?? "\u{10ffff}";
    return this.#listAfter.all(bucket, range.from, uploadId, before, limit).map(toUpload);
  }

  findPart(uploadId: string, partNumber: number): StoredPart | undefined {
    const row = this.#findPart.get(uploadId, partNumber);
    return row && toPart(row);
  }

  /** Stores a part in place of any other of that number. */
  putPart(uploadId: string, part: StoredPart): void {
    this.#putPart.run(
      uploadId,
      part.partNumber,
      part.etag,
      part.segment.sizeBytes,
      part.modifiedMs,
      part.segment.blobId,
      part.checksum === undefined ? null : JSON.stringify(part.checksum),
    );
  }

  /** At most `limit` parts with numbers above `after`, in order. */
  listParts(uploadId: string, after = 0, limit = 10_000): StoredPart[] {
    return this.#listParts.all(uploadId, after, limit).map(toPart);
  }
}

function toUpload(row: Record<string, SQLOutputValue>): StoredUpload {
  return {
    uploadId: String(row.upload_id),
    bucket: String(row.bucket),
    key: String(row.key),
    startedMs: Number(row.started_ms),
    attributes: JSON.parse(String(row.attributes)) as ObjectAttributes,
    tags: JSON.parse(String(row.tags)) as Tag[],
    checksum: row.checksum === null ? undefined : (JSON.parse(String(row.checksum)) as UploadChecksum),
  };
}

function toPart(row: Record<string, SQLOutputValue>): StoredPart {
  return {
    partNumber: Number(row.part_number),
    etag: String(row.etag),
    modifiedMs: Number(row.modified_ms),
    segment: { blobId: String(row.blob_id), sizeBytes: Number(row.size_bytes) },
    checksum: row.checksum === null ? undefined : (JSON.parse(String(row.checksum)) as Checksum),
  };
}
