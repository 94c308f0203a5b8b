import { ListObjectsCommand, ListObjectsV2Command, type ListObjectsV2CommandInput } from "@aws-sdk/client-s3";
import { beforeAll, describe, expect } from "vitest";
import { createBucket, failureOf, put, type Suite } from "./target.ts";

const keys = [
  "a",
  "b/1",
  "b/2",
  "b/c/1",
  "b/c/2",
  "b0",
  "d//x",
  "d/e",
  "spaced out/1 +&",
  "z",
  "~",
  "é",
  "\uffee",
  "😀",
];

/** Listings: order, pages, prefixes and delimiters. */
export function describeListing({ it, target }: Suite): void {
  describe("listing", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
      for (const key of keys) await put(target(), bucket, key, key);
    });

    /** All pages, each as its keys and (with a bar in front) its common prefixes. */
    const listPages = async (input: Partial<ListObjectsV2CommandInput>) => {
      const pages: string[][] = [];
      let token: string | undefined;
      do {
        const page = await target().client.send(
          new ListObjectsV2Command({ Bucket: bucket, ...input, ContinuationToken: token }),
        );
        const found = [
          ...(page.Contents ?? []).map(({ Key = "" }) => Key),
          ...(page.CommonPrefixes ?? []).map(({ Prefix = "" }) => `|${Prefix}`),
        ];
        expect(page.KeyCount).toBe(found.length);
        expect(page.IsTruncated).toBe(page.NextContinuationToken !== undefined);
        pages.push(found);
        token = page.NextContinuationToken;
      } while (token !== undefined && pages.length <= keys.length);
      return pages;
    };
    const listAll = async (input: Partial<ListObjectsV2CommandInput>) => (await listPages(input)).flat();

    it("gives all keys in the order of their bytes", async () => {
      expect(await listAll({})).toEqual(keys);
    });

    it("gives size, entity tag and time", async () => {
      const { Contents } = await target().client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: "z" }));
      expect(Contents).toMatchObject([{ Key: "z", Size: 1, StorageClass: "STANDARD" }]);
      expect(Contents?.[0]?.ETag).toMatch(/^"[0-9a-f]{32}"$/);
      expect(Contents?.[0]?.LastModified).toBeInstanceOf(Date);
    });

    for (const MaxKeys of [1, 2, 3, 5, 14, 15]) {
      it(`gives the same in pages of ${MaxKeys}`, async () => {
        const pages = await listPages({ MaxKeys });
        expect(pages.flat()).toEqual(keys);
        expect(pages.slice(0, -1).every((page) => page.length === MaxKeys)).toBe(true);
        expect(pages).toHaveLength(Math.ceil(keys.length / MaxKeys));
      });
    }

    it("keeps to a prefix", async () => {
      expect(await listAll({ Prefix: "b/" })).toEqual(["b/1", "b/2", "b/c/1", "b/c/2"]);
      expect(await listAll({ Prefix: "b" })).toEqual(["b/1", "b/2", "b/c/1", "b/c/2", "b0"]);
      expect(await listAll({ Prefix: "none" })).toEqual([]);
      expect(await listAll({ Prefix: "spaced out/1 +" })).toEqual(["spaced out/1 +&"]);
    });

    it("rolls keys up to a delimiter", async () => {
      const rest = ["z", "~", "é", "\uffee", "😀"];
      expect(await listAll({ Delimiter: "/" })).toEqual(["a", "b0", ...rest, "|b/", "|d/", "|spaced out/"]);
      expect(await listAll({ Delimiter: "/", Prefix: "b/" })).toEqual(["b/1", "b/2", "|b/c/"]);
      expect(await listAll({ Delimiter: "/", Prefix: "d/" })).toEqual(["d/e", "|d//"]);
      expect(await listAll({ Delimiter: "/", Prefix: "b" })).toEqual(["b0", "|b/"]);
    });

    for (const MaxKeys of [1, 2, 3]) {
      it(`rolls up in pages of ${MaxKeys}, each prefix once`, async () => {
        const pages = await listPages({ Delimiter: "/", MaxKeys });
        const whole = await listAll({ Delimiter: "/" });
        expect(pages.flat().sort()).toEqual(whole.sort());
        expect(pages.slice(0, -1).every((page) => page.length === MaxKeys)).toBe(true);
      });
    }

    it("takes a delimiter of several characters", async () => {
      expect(await listAll({ Delimiter: "c/", Prefix: "b/" })).toEqual(["b/1", "b/2", "|b/c/"]);
    });

    it("starts after a key, whether it exists or not", async () => {
      const rest = keys.slice(keys.indexOf("d//x"));
      expect(await listAll({ StartAfter: "b0" })).toEqual(rest);
      expect(await listAll({ StartAfter: "c" })).toEqual(rest);
      expect(await listAll({ StartAfter: "b/1", Prefix: "b/" })).toEqual(["b/2", "b/c/1", "b/c/2"]);
      expect(await listAll({ StartAfter: "a", Prefix: "d" })).toEqual(["d//x", "d/e"]);
      expect(await listAll({ StartAfter: "😀" })).toEqual([]);
    });

    it("encodes keys on request", async () => {
      const { Contents, EncodingType } = await target().client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: "spaced", EncodingType: "url" }),
      );
      expect(EncodingType).toBe("url");
      const key = Contents?.[0]?.Key ?? "";
      expect(key).not.toContain(" ");
      expect(decodeURIComponent(key.replaceAll("+", " "))).toBe("spaced out/1 +&");
    });

    it("gives nothing for a page of no keys", async () => {
      const none = await target().client.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 0 }));
      expect(none).toMatchObject({ KeyCount: 0, IsTruncated: false });
    });

    it("refuses a negative page size and a token that is none", async () => {
      const { client } = target();
      const negative = client.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: -1 }));
      expect(await failureOf(negative)).toBe("InvalidArgument 400");
      const badToken = client.send(new ListObjectsV2Command({ Bucket: bucket, ContinuationToken: "nonsense" }));
      expect(await failureOf(badToken)).toBe("InvalidArgument 400");
    });

    it("pages by marker in its old form", async () => {
      const found: string[] = [];
      let marker: string | undefined;
      do {
        const page = await target().client.send(
          new ListObjectsCommand({ Bucket: bucket, Delimiter: "/", MaxKeys: 2, Marker: marker }),
        );
        found.push(...(page.Contents ?? []).map(({ Key = "" }) => Key));
        found.push(...(page.CommonPrefixes ?? []).map(({ Prefix = "" }) => `|${Prefix}`));
        marker = page.IsTruncated ? page.NextMarker : undefined;
      } while (marker !== undefined && found.length <= keys.length);
      expect(found.sort()).toEqual((await listAll({ Delimiter: "/" })).sort());
    });
  });
}
