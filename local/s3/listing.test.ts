import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareUtf8, type ListPosition, listKeys, nextAfterPrefix } from "./listing.ts";
import type { KeyRange } from "./object-table.ts";

/** A bucket in memory that counts how many rows were asked for. */
function createBucket(keys: string[]) {
  const sorted = [...new Set(keys)].sort(compareUtf8);
  const state = { fetched: 0 };
  const fetch = (range: KeyRange, limit: number) => {
    const isIn = (key: string) => {
      const order = compareUtf8(key, range.from);
      return (
        (range.inclusive ? order >= 0 : order > 0) && (range.before === undefined || compareUtf8(key, range.before) < 0)
      );
    };
    const rows = sorted.filter(isIn).slice(0, limit);
    state.fetched += rows.length;
    return rows.map((key) => ({ key }));
  };
  return { sorted, fetch, state };
}

/** All pages of a listing; a common prefix is marked with a bar. */
function listPages(
  fetch: ReturnType<typeof createBucket>["fetch"],
  query: { prefix: string; delimiter: string; maxKeys: number },
): string[][] {
  const pages: string[][] = [];
  let after: ListPosition | undefined;
  do {
    const page = listKeys({ ...query, after }, fetch);
    pages.push([...page.rows.map(({ key }) => key), ...page.commonPrefixes.map((prefix) => `|${prefix}`)]);
    after = page.last;
  } while (after !== undefined);
  return pages;
}

/** The same by the definition: look at every key. */
function listNaively(keys: string[], prefix: string, delimiter: string): Set<string> {
  return new Set(
    keys
      .filter((key) => key.startsWith(prefix))
      .map((key) => {
        const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
        return end < 0 ? key : `|${key.slice(0, end + delimiter.length)}`;
      }),
  );
}

const character = fc.constantFrom("a", "b", "/", "0", "\u{10ffff}", "\ud7ff", "\ue000", "😀");
const key = fc.array(character, { minLength: 1, maxLength: 5 }).map((characters) => characters.join(""));

describe("listKeys", () => {
  test("finds in pages of any size exactly what looking at every key finds", () => {
    fc.assert(
      fc.property(
        fc.array(key, { maxLength: 30 }),
        fc.oneof(fc.constant(""), key),
        fc.constantFrom("", "/", "a/", "b"),
        fc.integer({ min: 1, max: 6 }),
        (keys, prefix, delimiter, maxKeys) => {
          const { sorted, fetch } = createBucket(keys);
          const pages = listPages(fetch, { prefix, delimiter, maxKeys });
          const found = pages.flat();
          expect(new Set(found)).toEqual(listNaively(sorted, prefix, delimiter));
          expect(found).toHaveLength(new Set(found).size);
          for (const page of pages.slice(0, -1)) expect(page).toHaveLength(maxKeys);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("jumps over what is rolled up instead of reading it", () => {
    const folders = Array.from({ length: 5 }, (_, index) => `folder-${index}/`);
    const keys = folders.flatMap((folder) => Array.from({ length: 5000 }, (_, index) => `${folder}${index}`));
    const { fetch, state } = createBucket(keys);
    const pages = listPages(fetch, { prefix: "", delimiter: "/", maxKeys: 1000 });
    expect(pages).toEqual([folders.map((folder) => `|${folder}`)]);
    expect(state.fetched).toBeLessThan(6000);
  });

  test("gives nothing, and no next page, where no keys are asked for", () => {
    const { fetch } = createBucket(["a"]);
    const page = listKeys({ prefix: "", delimiter: "", after: undefined, maxKeys: 0 }, fetch);
    expect(page).toEqual({ rows: [], commonPrefixes: [], last: undefined });
  });
});

describe("nextAfterPrefix", () => {
  test.each([
    ["a", "b"],
    ["a/", "a0"],
    ["\ud7ff", "\ue000"],
    ["a\u{10ffff}", "b"],
    ["", undefined],
    ["\u{10ffff}\u{10ffff}", undefined],
  ])("follows all that begins with %o", (prefix, next) => {
    expect(nextAfterPrefix(prefix)).toBe(next);
  });
});
