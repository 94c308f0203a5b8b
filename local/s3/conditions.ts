/** The four conditional headers of a read, or of a copy's source. */
export interface ReadConditions {
  ifMatch?: string | undefined;
  ifNoneMatch?: string | undefined;
  ifModifiedSince?: string | undefined;
  ifUnmodifiedSince?: string | undefined;
}

/** What a condition is held against; `etag` without quotes. */
export interface ObjectVersion {
  etag: string;
  modifiedMs: number;
}

/** Whether a read goes on. `condition` names the header that did not hold. */
export type ReadVerdict =
  | { outcome: "proceed" }
  | { outcome: "not_modified"; condition: string }
  | { outcome: "failed"; condition: string };

/** Holds an object against the conditions, with the precedence of RFC 9110: entity tags outrank dates. */
export function checkReadConditions(conditions: ReadConditions, version: ObjectVersion): ReadVerdict {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions;
  // HTTP dates have no fractions of a second.
  const modifiedMs = Math.floor(version.modifiedMs / 1000) * 1000;
  if (ifMatch !== undefined) {
    if (!matchesEtag(ifMatch, version.etag)) return { outcome: "failed", condition: "If-Match" };
  } else if (ifUnmodifiedSince !== undefined && modifiedMs > Date.parse(ifUnmodifiedSince)) {
    return { outcome: "failed", condition: "If-Unmodified-Since" };
  }
  if (ifNoneMatch !== undefined) {
    if (matchesEtag(ifNoneMatch, version.etag)) return { outcome: "not_modified", condition: "If-None-Match" };
  } else if (ifModifiedSince !== undefined && modifiedMs <= Date.parse(ifModifiedSince)) {
    return { outcome: "not_modified", condition: "If-Modified-Since" };
  }
  return { outcome: "proceed" };
}

/** Whether a list of entity tags (`*`, `"a", W/"b"`, or a bare one) contains `etag`. */
export function matchesEtag(header: string, etag: string): boolean {
  return header
    .split(",")
    .map((candidate) => unquoteEtag(candidate))
    .some((candidate) => candidate === "*" || candidate === etag);
}

/** An entity tag without its quotes. */
export function unquoteEtag(etag: string): string {
  return etag.trim().replace(/^(?:W\/)?"?|"$/g, "");
}
