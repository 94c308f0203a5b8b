import type { KeyRange } from "./object-table.ts";

/** Where a listing goes on: behind a key, or behind everything under a common prefix. */
export interface ListPosition {
  text: string;
  isPrefix: boolean;
}

/** One page of a listing. `last` is where the next one begins; undefined when this is the last. */
export interface ListPage<Row> {
  rows: Row[];
  commonPrefixes: string[];
  last: ListPosition | undefined;
}

/** What is listed. */
export interface ListQuery {
  prefix: string;
  delimiter: string;
  after: ListPosition | undefined;
  /** Keys and common prefixes count alike. */
  maxKeys: number;
}

const maxFetch = 1000;

/**
 * Lists keys in UTF-8 order and rolls up those that share a prefix up to the delimiter. A rolled-up prefix is jumped
 * over, not read through: listing the folders of a bucket costs as many look-ups as there are folders.
 */
export function listKeys<Row extends { key: string }>(
  query: ListQuery,
  fetch: (range: KeyRange, limit: number) => Row[],
): ListPage<Row> {
  const { prefix, delimiter, maxKeys } = query;
  const page: ListPage<Row> = { rows: [], commonPrefixes: [], last: undefined };
  if (maxKeys === 0) return page;
  let last: ListPosition | undefined;
  let range = startAfter(query.after, prefix);
  while (range) {
    const limit = Math.min(maxKeys - page.rows.length - page.commonPrefixes.length + 1, maxFetch);
    const rows = fetch(range, limit);
    let jump: string | undefined;
    for (const row of rows) {
      if (jump !== undefined && row.key.startsWith(jump)) continue;
      if (page.rows.length + page.commonPrefixes.length === maxKeys) return { ...page, last };
      const end = delimiter === "" ? -1 : row.key.indexOf(delimiter, prefix.length);
      jump = end < 0 ? undefined : row.key.slice(0, end + delimiter.length);
      if (jump === undefined) page.rows.push(row);
      else page.commonPrefixes.push(jump);
      last = jump === undefined ? { text: row.key, isPrefix: false } : { text: jump, isPrefix: true };
    }
    if (rows.length < limit) return page;
    range = last && startAfter(last, prefix);
  }
  return page;
}

/** The keys that begin with `prefix` and come behind a position; undefined when there can be none. */
function startAfter(after: ListPosition | undefined, prefix: string): KeyRange | undefined {
  const before = nextAfterPrefix(prefix);
  const fromPrefix: KeyRange = { from: prefix, inclusive: true, before };
  if (after === undefined) return fromPrefix;
  const from = after.isPrefix ? nextAfterPrefix(after.text) : after.text;
  if (from === undefined) return undefined;
  return compareUtf8(from, prefix) < 0 ? fromPrefix : { from, inclusive: after.isPrefix, before };
}

/** The first text, in UTF-8 order, behind all that begin with `prefix`; undefined when nothing is. */
export function nextAfterPrefix(prefix: string): string | undefined {
  const characters = [...prefix];
  for (let last = characters.pop(); last !== undefined; last = characters.pop()) {
    const code = last.codePointAt(0) ?? 0;
    if (code === 0x10ffff) continue;
    // The surrogates are no characters of their own.
    const next = code === 0xd7ff ? 0xe000 : code + 1;
    return characters.join("") + String.fromCodePoint(next);
  }
  return undefined;
}

/** Order of two texts by their UTF-8 bytes, which is S3's order and SQLite's; JavaScript's own differs. */
export function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
