import { describe, expect, test } from "vitest";
import { checkReadConditions, matchesEtag } from "./conditions.ts";
import { parseRange } from "./ranges.ts";
import { buildDocument, element, parseDocument } from "./xml.ts";

describe("parseRange", () => {
  test.each([
    ["bytes=0-0", 10, 0, 0],
    ["bytes=3-5", 10, 3, 5],
    ["bytes=3-", 10, 3, 9],
    ["bytes=3-99", 10, 3, 9],
    ["bytes=-4", 10, 6, 9],
    ["bytes=-99", 10, 0, 9],
  ])("reads %s of %i bytes as %i to %i", (header, sizeBytes, firstByte, lastByte) => {
    expect(parseRange(header, sizeBytes)).toEqual({ kind: "range", firstByte, lastByte });
  });

  test.each([
    ["bytes=10-", 10],
    ["bytes=10-20", 10],
    ["bytes=-0", 10],
    ["bytes=0-", 0],
    ["bytes=-1", 0],
  ])("cannot satisfy %s of %i bytes", (header, sizeBytes) => {
    expect(parseRange(header, sizeBytes)).toEqual({ kind: "unsatisfiable" });
  });

  test.each([undefined, "", "bytes=-", "bytes=5-3", "items=0-1", "bytes=0-1,3-4", "bytes=a-b"])(
    "takes %s for the whole object",
    (header) => {
      expect(parseRange(header, 10)).toEqual({ kind: "whole" });
    },
  );
});

describe("checkReadConditions", () => {
  const modified = "Tue, 10 Mar 2026 10:00:00 GMT";
  const earlier = "Tue, 10 Mar 2026 09:59:59 GMT";
  const version = { etag: "abc", modifiedMs: Date.parse(modified) + 999 };

  test.each([
    [{}, "proceed"],
    [{ ifMatch: '"abc"' }, "proceed"],
    [{ ifMatch: '"x", "abc"' }, "proceed"],
    [{ ifMatch: '"x"' }, "failed"],
    [{ ifNoneMatch: "abc" }, "not_modified"],
    [{ ifNoneMatch: "*" }, "not_modified"],
    [{ ifNoneMatch: '"x"' }, "proceed"],
    [{ ifModifiedSince: modified }, "not_modified"],
    [{ ifModifiedSince: earlier }, "proceed"],
    [{ ifUnmodifiedSince: modified }, "proceed"],
    [{ ifUnmodifiedSince: earlier }, "failed"],
    [{ ifMatch: '"abc"', ifUnmodifiedSince: earlier }, "proceed"],
    [{ ifNoneMatch: '"x"', ifModifiedSince: modified }, "proceed"],
    [{ ifModifiedSince: "nonsense", ifUnmodifiedSince: "nonsense" }, "proceed"],
  ] as const)("answers %o with %s", (conditions, outcome) => {
    expect(checkReadConditions(conditions, version).outcome).toBe(outcome);
  });

  test("understands weak, bare and starred entity tags", () => {
    expect(['W/"a"', "a", "*", '"b","a"'].map((header) => matchesEtag(header, "a"))).toEqual([true, true, true, true]);
    expect(matchesEtag('"ab"', "a")).toBe(false);
  });
});

describe("the XML of requests and answers", () => {
  test("survives a round trip, whatever the key", () => {
    const keys = ["a & b", "<c>", " spaced ", "line\nfeed\r", '"quoted"', "ä€😀", "&amp;", "&#10;"];
    const document = buildDocument("Delete", [
      element("Quiet", true),
      ...keys.map((key) => element("Object", [element("Key", key)])),
    ]);
    const root = parseDocument(document, "Delete");
    expect(root?.children("Object").map((object) => object.text("Key"))).toEqual(keys);
    expect(root?.text("Quiet")).toBe("true");
    expect(root?.child("Missing")).toBeUndefined();
  });

  test("reads numeric and named entities, and leaves unknown ones alone", () => {
    const root = parseDocument("<D><K>&lt;&#65;&#x1F600;&quot;&apos;&nbsp;&#x110000;</K></D>", "D");
    expect(root?.text("K")).toBe("<A😀\"'&nbsp;&#x110000;");
  });

  test.each(["", "hello", "<Delete>", "<Delete><a></Delete>", "<Other/>", "<__proto__/>"])("refuses %s", (text) => {
    expect(parseDocument(text, "Delete")).toBeUndefined();
  });
});
