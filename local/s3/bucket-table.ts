import type { StatementSync } from "node:sqlite";
import type { Database } from "./database.ts";

/** The documents a bucket can carry, each stored as JSON. */
export type BucketSetting = "lifecycle" | "cors" | "tagging";

/** A bucket as the index has it. */
export interface StoredBucket {
  bucket: string;
  createdMs: number;
}

/** The buckets of the index. Changes belong into `Database.write`. */
export class BucketTable {
  readonly #find: StatementSync;
  readonly #list: StatementSync;
  readonly #create: StatementSync;
  readonly #remove: StatementSync;
  readonly #getSetting: Record<BucketSetting, StatementSync>;
  readonly #putSetting: Record<BucketSetting, StatementSync>;
  readonly #withLifecycle: StatementSync;

  constructor({ sql }: Database) {
    this.#find = sql.prepare("SELECT bucket, created_ms FROM buckets WHERE bucket = ?");
    this.#list = sql.prepare("SELECT bucket, created_ms FROM buckets ORDER BY bucket");
    this.#create = sql.prepare("INSERT INTO buckets (bucket, created_ms) VALUES (?, ?)");
    this.#remove = sql.prepare("DELETE FROM buckets WHERE bucket = ?");
    this.#withLifecycle = sql.prepare("SELECT bucket, lifecycle FROM buckets WHERE lifecycle IS NOT NULL");
    const get = (name: BucketSetting) => sql.prepare(`SELECT ${name} AS value FROM buckets WHERE bucket = ?`);
    const put = (name: BucketSetting) => sql.prepare(`UPDATE buckets SET ${name} = ? WHERE bucket = ?`);
    this.#getSetting = { lifecycle: get("lifecycle"), cors: get("cors"), tagging: get("tagging") };
    this.#putSetting = { lifecycle: put("lifecycle"), cors: put("cors"), tagging: put("tagging") };
  }

  find(bucket: string): StoredBucket | undefined {
    const row = this.#find.get(bucket);
    return row && { bucket: String(row.bucket), createdMs: Number(row.created_ms) };
  }

  list(): StoredBucket[] {
    return this.#list.all().map((row) => ({ bucket: String(row.bucket), createdMs: Number(row.created_ms) }));
  }

  create(bucket: string, createdMs: number): void {
    this.#create.run(bucket, createdMs);
  }

  remove(bucket: string): void {
    this.#remove.run(bucket);
  }

  /** The JSON of a setting; undefined when it is not set. */
  getSetting(bucket: string, name: BucketSetting): string | undefined {
    const value = this.#getSetting[name].get(bucket)?.value;
    return typeof value === "string" ? value : undefined;
  }

  putSetting(bucket: string, name: BucketSetting, json: string | null): void {
    this.#putSetting[name].run(json, bucket);
  }

  /** The lifecycle documents of all buckets that have one. */
  listLifecycles(): { bucket: string; json: string }[] {
    return this.#withLifecycle.all().map((row) => ({ bucket: String(row.bucket), json: String(row.lifecycle) }));
  }
}
