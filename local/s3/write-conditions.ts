import { matchesEtag } from "./conditions.ts";
import { notImplemented, s3Error } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { StoredObject } from "./model.ts";

/**
 * Holds a write against its `If-None-Match` and `If-Match` headers; throws when it must not happen. Called once before
 * the body is read, to spare a hopeless upload, and once within the commit, where it decides: changes of one turn run
 * one after the other, so of any number of racing writers exactly one finds the key free.
 */
export function checkWriteConditions(exchange: Exchange, existing: StoredObject | undefined): void {
  const ifNoneMatch = exchange.header("if-none-match");
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch !== "*") throw notImplemented('If-None-Match on writes with a value other than "*" (nor does S3)');
    if (existing) throw s3Error("PreconditionFailed", undefined, { Condition: "If-None-Match" });
  }
  const ifMatch = exchange.header("if-match");
  if (ifMatch !== undefined) {
    if (!existing) throw s3Error("NoSuchKey", undefined, { Key: exchange.key });
    if (!matchesEtag(ifMatch, existing.etag)) {
      throw s3Error("PreconditionFailed", undefined, { Condition: "If-Match" });
    }
  }
}
