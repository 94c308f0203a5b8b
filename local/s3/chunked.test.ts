import { describe, expect, test } from "vitest";
import { type ChunkSigning, verifySignature } from "../aws/signature.ts";
import { decodeAwsChunked } from "./chunked.ts";

const credentials = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";

// The example of "Signature calculations: transferring payload in multiple chunks" in the S3 API reference.
const seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
const chunks = [
  ["10000", "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", "a".repeat(65536)],
  ["400", "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", "a".repeat(1024)],
  ["0", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9", ""],
] as const;

async function getSigning(): Promise<ChunkSigning> {
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
    { credentials, service: "s3", region: "us-east-1", now: new Date("2013-05-24T00:00:00Z") },
  );
  if (!result.ok) throw new Error(result.message);
  return result.chunkSigning;
}

function buildSignedBody(): Buffer {
  const parts = chunks.map(([size, signature, data]) => `${size};chunk-signature=${signature}\r\n${data}\r\n`);
  return Buffer.from(parts.join(""), "latin1");
}

async function decode(body: Buffer, options: { pieceBytes?: number; signing?: ChunkSigning } = {}) {
  const { pieceBytes = body.length, signing } = options;
  async function* cut() {
    for (let start = 0; start < body.length; start += pieceBytes) yield body.subarray(start, start + pieceBytes);
  }
  const trailers = new Map<string, string>();
  const data: Buffer[] = [];
  const decoded = decodeAwsChunked(cut(), {
    ...(signing === undefined ? {} : { signing }),
    onTrailers: (found) => {
      for (const [name, value] of found) trailers.set(name, value);
    },
  });
  for await (const chunk of decoded) data.push(chunk);
  return { text: Buffer.concat(data).toString("latin1"), trailers };
}

describe("decodeAwsChunked", () => {
  test.each([1, 2, 3, 7, 1000])("decodes a body that arrives in pieces of %i bytes", async (pieceBytes) => {
    const body = Buffer.from("5\r\nhello\r\n3;x=y\r\n\r\n!\r\n0\r\nx-amz-checksum-crc32: NhCmhg==\r\n\r\n");
    const { text, trailers } = await decode(body, { pieceBytes });
    expect(text).toBe("hello\r\n!");
    expect([...trailers]).toEqual([["x-amz-checksum-crc32", "NhCmhg=="]]);
  });

  test("takes an empty body, with and without the last empty line", async () => {
    expect((await decode(Buffer.from("0\r\n\r\n"))).text).toBe("");
    expect((await decode(Buffer.from("0\r\n"))).text).toBe("");
  });

  test("accepts the chunk signatures of Amazon's example", async () => {
    const { text } = await decode(buildSignedBody(), { signing: await getSigning(), pieceBytes: 10_000 });
    expect(text).toBe("a".repeat(66_560));
  });

  test.each<[string, (body: string) => string]>([
    ["changed data", (body) => body.replace("aaaaaaaaaa", "aaaaabaaaa")],
    ["a chunk left out", (body) => body.replace(/400;.*\r\n.*\r\n/, "")],
    ["a missing signature", (body) => body.replace(/400;chunk-signature=[0-9a-f]+/, "400")],
    ["a forged last chunk", (body) => body.replace(/b6c6ea8a/, "b6c6ea8b")],
  ])("refuses signed chunks with %s", async (_what, tamper) => {
    const body = Buffer.from(tamper(buildSignedBody().toString("latin1")), "latin1");
    await expect(decode(body, { signing: await getSigning() })).rejects.toMatchObject({
      code: "SignatureDoesNotMatch",
    });
  });

  test.each([
    ["cut off inside a chunk", "5\r\nhel"],
    ["cut off after a chunk", "5\r\nhello\r\n"],
    ["a chunk longer than its size", "4\r\nhello\r\n0\r\n\r\n"],
    ["a size that is no number", "zz\r\nhello\r\n0\r\n\r\n"],
    ["a trailer without a name", "0\r\nnonsense\r\n\r\n"],
    ["a header line without an end", "1".repeat(20_000)],
  ])("refuses a body with %s", async (_what, body) => {
    await expect(decode(Buffer.from(body))).rejects.toMatchObject({ code: "IncompleteBody", status: 400 });
  });
});
