import type { IncomingHttpHeaders } from "node:http";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";
import { describe, expect, test } from "vitest";
import { type SignatureContext, type SignedRequest, verifySignature } from "./signature.ts";

const credentials = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const now = new Date("2013-05-24T00:00:00Z");
const s3: SignatureContext = { credentials, service: "s3", region: "us-east-1", now };
const sqs: SignatureContext = { credentials, service: "sqs", region: "us-east-1", now };
const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

interface Draft {
  method?: string;
  path?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: string;
}

function createSigner(context: SignatureContext) {
  return new SignatureV4({
    credentials: context.credentials,
    region: context.region,
    service: context.service,
    sha256: Sha256,
    uriEscapePath: context.service !== "s3",
  });
}

function toHttpRequest(draft: Draft) {
  const { method = "GET", path = "/", query = {}, headers = {}, body } = draft;
  return {
    method,
    protocol: "http:",
    hostname: "127.0.0.1",
    path,
    query,
    headers: { host: "127.0.0.1:9000", ...headers },
    ...(body === undefined ? {} : { body }),
  };
}

function toUrl(path: string, query: Record<string, unknown>): string {
  const pairs = Object.entries(query).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`,
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join("&")}`;
}

async function signRequest(draft: Draft, context: SignatureContext): Promise<SignedRequest> {
  const signed = await createSigner(context).sign(toHttpRequest(draft), { signingDate: now });
  const headers: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(signed.headers)) headers[name.toLowerCase()] = value;
  return { method: signed.method, url: toUrl(signed.path, signed.query ?? {}), headers };
}

async function presignRequest(draft: Draft, context: SignatureContext, expiresIn: number): Promise<SignedRequest> {
  const request = toHttpRequest({ ...draft, headers: { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" } });
  const signed = await createSigner(context).presign(request, { signingDate: now, expiresIn });
  return { method: signed.method, url: toUrl(signed.path, signed.query ?? {}), headers: { host: "127.0.0.1:9000" } };
}

describe("verifySignature with the examples Amazon publishes for S3", () => {
  const scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
  const host = "examplebucket.s3.amazonaws.com";

  test("accepts the signed GET with a range", async () => {
    const result = await verifySignature(
      {
        method: "GET",
        url: "/test.txt",
        headers: {
          host,
          range: "bytes=0-9",
          "x-amz-content-sha256": emptySha256,
          "x-amz-date": "20130524T000000Z",
          authorization: `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41`,
        },
      },
      s3,
    );
    expect(result).toMatchObject({ ok: true, presigned: false, payload: { kind: "sha256", sha256: emptySha256 } });
  });

  test("accepts the list request with sorted query parameters", async () => {
    const result = await verifySignature(
      {
        method: "GET",
        url: "/?prefix=J&max-keys=2",
        headers: {
          host,
          "x-amz-content-sha256": emptySha256,
          "x-amz-date": "20130524T000000Z",
          authorization: `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7`,
        },
      },
      s3,
    );
    expect(result.ok).toBe(true);
  });

  test("accepts the presigned GET", async () => {
    const url = `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(scope)}&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404`;
    const result = await verifySignature({ method: "GET", url, headers: { host } }, s3);
    expect(result).toMatchObject({ ok: true, presigned: true, payload: { kind: "unsigned" } });
  });

  test("accepts the seed of the chunked upload and hands out what its chunks are checked with", async () => {
    const seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    const result = await verifySignature(
      {
        method: "PUT",
        url: "/examplebucket/chunkObject.txt",
        headers: {
          host: "s3.amazonaws.com",
          "x-amz-date": "20130524T000000Z",
          "x-amz-storage-class": "REDUCED_REDUNDANCY",
          "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
          "content-encoding": "aws-chunked",
          "x-amz-decoded-content-length": "66560",
          "content-length": "66824",
          authorization: `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=${seed}`,
        },
      },
      s3,
    );
    expect(result).toMatchObject({
      ok: true,
      payload: { kind: "chunked", signed: true, trailer: false },
      chunkSigning: { seed, scope: "20130524/us-east-1/s3/aws4_request", amzDate: "20130524T000000Z" },
    });
  });
});

describe("verifySignature with requests the SDK signs", () => {
  test.each(["/b/a%20b", "/b/%2B%25%2F%2F..", "/b//x//y", "/b/%C3%A4%E2%82%AC", "/b/a%21%27%28%29%2A", "/b/a/../c"])(
    "accepts the S3 path %s",
    async (path) => {
      const draft = { path, query: { list: "a b+c/%", empty: "" }, headers: { "x-amz-content-sha256": emptySha256 } };
      expect(await verifySignature(await signRequest(draft, s3), s3)).toMatchObject({ ok: true });
    },
  );

  test.each(["/", "/000000000000/a%20queue", "/a//b/./c/../d/"])("accepts the SQS path %s", async (path) => {
    const request = await signRequest({ method: "POST", path, body: "{}" }, sqs);
    expect(await verifySignature(request, sqs)).toMatchObject({ ok: true });
  });

  test("uses the body's own hash when an SQS client sends none", async () => {
    const request = await signRequest({ method: "POST", body: "{}" }, sqs);
    const bodySha256 = String(request.headers["x-amz-content-sha256"]);
    expect((await verifySignature({ ...request, bodySha256 }, sqs)).ok).toBe(true);
    const changed = await verifySignature({ ...request, bodySha256: emptySha256 }, sqs);
    expect(changed).toMatchObject({ ok: false, code: "XAmzContentSHA256Mismatch" });
  });

  test.each([
    ["UNSIGNED-PAYLOAD", { kind: "unsigned" }],
    ["STREAMING-UNSIGNED-PAYLOAD-TRAILER", { kind: "chunked", signed: false, trailer: true }],
    ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", { kind: "chunked", signed: true, trailer: true }],
  ])("tells the payload kind of %s", async (value, payload) => {
    const request = await signRequest({ method: "PUT", path: "/b/k", headers: { "x-amz-content-sha256": value } }, s3);
    expect(await verifySignature(request, s3)).toMatchObject({ ok: true, payload });
  });
});

describe("verifySignature refuses", () => {
  const draft: Draft = {
    method: "PUT",
    path: "/b/k",
    query: { a: "1" },
    headers: { "x-amz-content-sha256": emptySha256, "x-amz-meta-owner": "ann" },
  };

  test("a request without a signature", async () => {
    const anonymous = { method: "GET", url: "/b/k", headers: { host: "h" } };
    expect(await verifySignature(anonymous, s3)).toMatchObject({ ok: false, code: "AccessDenied", status: 403 });
    expect(await verifySignature(anonymous, sqs)).toMatchObject({ ok: false, code: "MissingAuthenticationToken" });
  });

  test.each<[string, (request: SignedRequest) => SignedRequest]>([
    ["method", (request) => ({ ...request, method: "DELETE" })],
    ["path", (request) => ({ ...request, url: request.url.replace("/b/k", "/b/other") })],
    ["query", (request) => ({ ...request, url: request.url.replace("a=1", "a=2") })],
    ["signed header", (request) => ({ ...request, headers: { ...request.headers, "x-amz-meta-owner": "eve" } })],
    ["host", (request) => ({ ...request, headers: { ...request.headers, host: "elsewhere" } })],
    [
      "signature",
      (request) => ({
        ...request,
        headers: {
          ...request.headers,
          authorization: String(request.headers.authorization).replace(/.{4}$/, (end) =>
            end === "0000" ? "1111" : "0000",
          ),
        },
      }),
    ],
  ])("a request whose %s was changed", async (_what, tamper) => {
    const result = await verifySignature(tamper(await signRequest(draft, s3)), s3);
    expect(result).toMatchObject({ ok: false, code: "SignatureDoesNotMatch", status: 403 });
  });

  test("an x-amz header that was added afterwards", async () => {
    const request = await signRequest(draft, s3);
    const headers = { ...request.headers, "x-amz-copy-source": "/b/secret" };
    expect(await verifySignature({ ...request, headers }, s3)).toMatchObject({ ok: false, code: "AccessDenied" });
  });

  test("a wrong secret, an unknown key id and a foreign region", async () => {
    const request = await signRequest(draft, s3);
    const check = (context: Partial<SignatureContext>) => verifySignature(request, { ...s3, ...context });
    const wrongSecret = { credentials: { ...credentials, secretAccessKey: "x" } };
    expect(await check(wrongSecret)).toMatchObject({ code: "SignatureDoesNotMatch" });
    const otherKey = { credentials: { ...credentials, accessKeyId: "AKIAOTHER" } };
    expect(await check(otherKey)).toMatchObject({ code: "InvalidAccessKeyId" });
    expect(await check({ region: "eu-west-1" })).toMatchObject({ code: "AuthorizationHeaderMalformed", status: 400 });
    expect(await check({ service: "sqs" })).toMatchObject({ code: "SignatureDoesNotMatch" });
  });

  test.each([-15, 15])("a clock that is more than %i minutes away", async (minutes) => {
    const request = await signRequest(draft, s3);
    const limit = new Date(now.getTime() + minutes * 60_000);
    const beyond = new Date(limit.getTime() + Math.sign(minutes) * 1000);
    expect((await verifySignature(request, { ...s3, now: limit })).ok).toBe(true);
    expect(await verifySignature(request, { ...s3, now: beyond })).toMatchObject({ code: "RequestTimeTooSkewed" });
  });

  test("an unknown payload value and an S3 request without one", async () => {
    const bad = await signRequest({ headers: { "x-amz-content-sha256": "nonsense" } }, s3);
    expect(await verifySignature(bad, s3)).toMatchObject({ ok: false, code: "InvalidArgument" });
    const without = await signRequest(draft, s3);
    delete without.headers["x-amz-content-sha256"];
    expect(await verifySignature(without, s3)).toMatchObject({ ok: false, code: "InvalidRequest" });
  });

  test.each(["AWS AKIA:abc", "AWS4-HMAC-SHA256 nonsense", "Bearer x"])(
    "the authorization %s",
    async (authorization) => {
      const request = { method: "GET", url: "/", headers: { host: "h", authorization } };
      expect(await verifySignature(request, s3)).toMatchObject({ ok: false, status: 400 });
    },
  );
});

describe("verifySignature with presigned requests", () => {
  const draft = { path: "/b/a%20key" };

  test("accepts one until it expires, and not after", async () => {
    const request = await presignRequest(draft, s3, 60);
    const last = new Date(now.getTime() + 60_000);
    const after = new Date(now.getTime() + 61_000);
    expect((await verifySignature(request, { ...s3, now: last })).ok).toBe(true);
    const expired = await verifySignature(request, { ...s3, now: after });
    expect(expired).toMatchObject({ ok: false, code: "AccessDenied", message: "Request has expired" });
  });

  test("refuses one that starts in the future", async () => {
    const request = await presignRequest(draft, s3, 60);
    const before = new Date(now.getTime() - 16 * 60_000);
    expect(await verifySignature(request, { ...s3, now: before })).toMatchObject({ code: "AccessDenied" });
  });

  test.each<[string, (url: string) => string, string]>([
    ["another key", (url) => url.replace("a%20key", "b"), "SignatureDoesNotMatch"],
    ["a longer expiry", (url) => url.replace("Expires=60", "Expires=600"), "SignatureDoesNotMatch"],
    ["an added parameter", (url) => `${url}&versionId=1`, "SignatureDoesNotMatch"],
    ["an expiry of zero", (url) => url.replace("Expires=60", "Expires=0"), "AuthorizationQueryParametersError"],
    [
      "an expiry above a week",
      (url) => url.replace("Expires=60", "Expires=604801"),
      "AuthorizationQueryParametersError",
    ],
    ["no signed headers", (url) => url.replace("SignedHeaders=host", "x=y"), "AuthorizationQueryParametersError"],
    ["no signature", (url) => url.replace(/&X-Amz-Signature=[0-9a-f]+/, ""), "AuthorizationQueryParametersError"],
  ])("refuses one with %s", async (_what, tamper, code) => {
    const request = await presignRequest(draft, s3, 60);
    expect(await verifySignature({ ...request, url: tamper(request.url) }, s3)).toMatchObject({ ok: false, code });
  });

  test("refuses one for another method, and one with two signatures", async () => {
    const request = await presignRequest(draft, s3, 60);
    const put = await verifySignature({ ...request, method: "PUT" }, s3);
    expect(put).toMatchObject({ ok: false, code: "SignatureDoesNotMatch" });
    const headers = { ...request.headers, authorization: "AWS4-HMAC-SHA256 x" };
    expect(await verifySignature({ ...request, headers }, s3)).toMatchObject({ ok: false, code: "InvalidArgument" });
  });
});
