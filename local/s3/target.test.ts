import { describe, expect, test } from "vitest";
import { parseCopySource, parseTarget, resolveOperation } from "./target.ts";

describe("parseTarget", () => {
  test.each([
    ["/", "127.0.0.1:1", "", ""],
    ["/bucket", "127.0.0.1:1", "bucket", ""],
    ["/bucket/", "127.0.0.1:1", "bucket", ""],
    ["/bucket/a/b", undefined, "bucket", "a/b"],
    ["/bucket//a/../b/.", "localhost:1", "bucket", "/a/../b/."],
    ["/bucket/a%20b+c%2Bd%25%2F", "localhost", "bucket", "a b+c+d%/"],
    ["/%F0%9F%98%80/%C3%A4", undefined, "😀", "ä"],
    ["/a/b", "bucket.localhost:4400", "bucket", "a/b"],
    ["/", "my.bucket.localhost", "my.bucket", ""],
  ])("reads %s at %s", (path, host, bucket, key) => {
    expect(parseTarget(path, host)).toEqual({ bucket, key });
  });

  test.each(["/b/%", "/b/%zz", "/b/%ff", "/%c3%28"])("refuses %s", (path) => {
    expect(() => parseTarget(path, undefined)).toThrow(expect.objectContaining({ code: "InvalidURI" }));
  });
});

describe("parseCopySource", () => {
  test.each(["bucket/a%20b/c", "/bucket/a%20b/c", "bucket/a%20b/c?versionId=null"])("reads %s", (header) => {
    expect(parseCopySource(header)).toEqual({ bucket: "bucket", key: "a b/c" });
  });

  test.each([
    ["", "InvalidArgument"],
    ["bucket", "InvalidArgument"],
    ["bucket/", "InvalidArgument"],
    ["bucket/a?versionId=v1", "NotImplemented"],
  ])("refuses %o with %s", (header, code) => {
    expect(() => parseCopySource(header)).toThrow(expect.objectContaining({ code }));
  });
});

describe("resolveOperation", () => {
  const resolve = (method: string, path: string, query: Record<string, string>, copies = false) =>
    resolveOperation(method, parseTarget(path, undefined), new Map(Object.entries(query)), copies);

  test.each([
    ["GET", "/", {}, "ListBuckets"],
    ["GET", "/b", { "list-type": "2", prefix: "p" }, "ListObjectsV2"],
    ["GET", "/b", { prefix: "p" }, "ListObjects"],
    ["PUT", "/b/k", { "x-id": "PutObject" }, "PutObject"],
    ["PUT", "/b/k", { uploadId: "u", partNumber: "1" }, "UploadPart"],
    ["GET", "/b/k", { partNumber: "1" }, "GetObject"],
    ["GET", "/b/k", { versionId: "null" }, "GetObject"],
    ["POST", "/b", { delete: "" }, "DeleteObjects"],
    ["DELETE", "/b/k", { uploadId: "u" }, "AbortMultipartUpload"],
  ])("knows %s %s %o as %s", (method, path, query, operation) => {
    expect(resolve(method, path, query)).toEqual({ operation });
  });

  test("tells copies from uploads by their source", () => {
    expect(resolve("PUT", "/b/k", {}, true)).toEqual({ operation: "CopyObject" });
    expect(resolve("PUT", "/b/k", { partNumber: "1", uploadId: "u" }, true)).toEqual({ operation: "UploadPartCopy" });
  });

  test.each([
    ["GET", "/b", { acl: "" }, 'the request "GET bucket?acl"'],
    ["POST", "/b/k", { select: "", "select-type": "2" }, 'the request "POST object?select"'],
    ["POST", "/b", {}, 'the request "POST bucket"'],
    ["PATCH", "/b/k", {}, 'the request "PATCH object"'],
    ["GET", "/b/k", { versionId: "v1" }, "versions of objects (versionId)"],
  ])("does not know %s %s %o", (method, path, query, unsupported) => {
    expect(resolve(method, path, query)).toEqual({ unsupported });
  });
});
