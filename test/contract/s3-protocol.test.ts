import { createHash } from "node:crypto";
import { Agent, request } from "node:http";
import type { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import {
  DeleteObjectCommand,
  GetBucketAclCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectAclCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { Workbench, waitFor } from "./s3/harness.ts";
import { buildSignedChunks, signPut } from "./s3/signing.ts";
import { createBucket, credentials, failureOf, type HttpAnswer, put, readText, sendHttp } from "./s3/target.ts";

const codeOf = ({ text }: HttpAnswer) => /<Code>(\w+)<\/Code>/.exec(text)?.[1];

async function prepare(options: Parameters<Workbench["start"]>[0] = {}) {
  const bench = await Workbench.create();
  const server = await bench.start(options);
  const bucket = await createBucket(server);
  return { bench, server, bucket };
}

describe("signatures", () => {
  test("of other keys and of a clock that is far off are refused", async () => {
    const { bench, server, bucket } = await prepare();
    const read = (config: Parameters<Workbench["connect"]>[1]) =>
      failureOf(bench.connect(server.endpoint, config).send(new ListObjectsV2Command({ Bucket: bucket })));
    const key = (changed: object) => ({ credentials: { ...credentials, ...changed } });
    expect(await read(key({ secretAccessKey: "x" }))).toBe("SignatureDoesNotMatch 403");
    expect(await read(key({ accessKeyId: "x" }))).toBe("InvalidAccessKeyId 403");
    expect(await read({ systemClockOffset: -20 * 60_000 })).toBe("RequestTimeTooSkewed 403");
    expect(await read({ systemClockOffset: 14 * 60_000 })).toBe("succeeded");
    expect(await read({ region: "eu-west-1" })).toBe("AuthorizationHeaderMalformed 400");
  });

  test("that are refused for the clock tell the client the right time", async () => {
    const { bench, server, bucket } = await prepare();
    const client = bench.connect(server.endpoint, { systemClockOffset: -20 * 60_000 });
    const list = () => failureOf(client.send(new ListObjectsV2Command({ Bucket: bucket })));
    expect([await list(), await list()]).toEqual(["RequestTimeTooSkewed 403", "succeeded"]);
  });

  test("cover the body: another one is refused, and nothing is stored", async () => {
    const { bench, server, bucket } = await prepare();
    for (const [body, other] of [
      ["hello", "jello"],
      ["h".repeat(100_000), `j${"h".repeat(99_999)}`],
    ] as const) {
      const sha256 = createHash("sha256").update(body).digest("hex");
      const length = { "content-length": String(body.length) };
      const signed = await signPut(server.endpoint, `/${bucket}/key`, sha256, length);
      const tampered = await sendHttp(signed.url, { ...signed, method: "PUT", body: other });
      expect([tampered.status, codeOf(tampered)]).toEqual([400, "XAmzContentSHA256Mismatch"]);
      expect(await failureOf(readText(server, bucket, "key"))).toBe("NoSuchKey 404");
      expect((await sendHttp(signed.url, { ...signed, method: "PUT", body })).status).toBe(200);
      expect(await readText(server, bucket, "key")).toBe(body);
      await server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: "key" }));
    }
    await waitFor("no file", async () => (await bench.listBlobs()).length === 0);
  });

  test("of chunks are checked one by one", async () => {
    const { bench, server, bucket } = await prepare();
    const chunks = ["a".repeat(70_000), "b".repeat(8_192), "c"];
    const content = chunks.join("");
    const signed = await signPut(server.endpoint, `/${bucket}/key`, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", {
      "content-encoding": "aws-chunked",
      "x-amz-decoded-content-length": String(content.length),
    });
    const body = buildSignedChunks(signed, chunks);
    const send = (sent: string) => sendHttp(signed.url, { ...signed, method: "PUT", body: sent });
    const tampered = await send(body.replace("bbbb", "bbxb"));
    expect([tampered.status, codeOf(tampered)]).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await failureOf(readText(server, bucket, "key"))).toBe("NoSuchKey 404");
    expect(await bench.listBlobs()).toEqual([]);
    expect((await send(body)).status).toBe(200);
    expect(await readText(server, bucket, "key")).toBe(content);
    const { ContentEncoding } = await server.client.send(new GetObjectCommand({ Bucket: bucket, Key: "key" }));
    expect(ContentEncoding).toBeUndefined();
  });

  test("of trailers are checked as well", async () => {
    const { server, bucket } = await prepare();
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32("hello"));
    const send = async (checksum: string, tamper = (body: string) => body) => {
      const kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
      const signed = await signPut(server.endpoint, `/${bucket}/key`, kind, {
        "x-amz-decoded-content-length": "5",
        "x-amz-trailer": "x-amz-checksum-crc32",
      });
      const body = buildSignedChunks(signed, ["hello"], { "x-amz-checksum-crc32": checksum });
      return sendHttp(signed.url, { ...signed, method: "PUT", body: tamper(body) });
    };
    const right = sum.toString("base64");
    expect((await send(right)).status).toBe(200);
    expect(codeOf(await send("AAAAAA=="))).toBe("BadDigest");
    expect(codeOf(await send(right, (body) => body.replace(right, "AAAAAA==")))).toBe("SignatureDoesNotMatch");
  });
});

describe("requests the SDK does not send", () => {
  test("of unknown length are refused", async () => {
    const { server, bucket } = await prepare();
    const plain = await signPut(server.endpoint, `/${bucket}/key`, "UNSIGNED-PAYLOAD");
    const send = (signed: typeof plain, headers: Record<string, string>) =>
      sendHttp(signed.url, {
        method: "PUT",
        headers: { ...signed.headers, ...headers },
        body: "5\r\nhello\r\n0\r\n\r\n",
      });
    const streamed = await send(plain, { "transfer-encoding": "chunked" });
    expect([streamed.status, codeOf(streamed)]).toEqual([501, "NotImplemented"]);
    const chunked = await signPut(server.endpoint, `/${bucket}/key`, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    const undeclared = await send(chunked, {});
    expect([undeclared.status, codeOf(undeclared)]).toEqual([411, "MissingContentLength"]);
  });

  test.each(["/%ff", "/%zz", "/bucket/%c3%28"])("with the path %s are refused", async (path) => {
    const { server } = await prepare();
    const answer = await sendHttp(`${server.endpoint}${path}`);
    expect([answer.status, codeOf(answer)]).toEqual([400, "InvalidURI"]);
  });

  test("that ask before they send are refused without sending", async () => {
    const { server, bucket } = await prepare();
    const { port, hostname } = new URL(server.endpoint);
    const agent = new Agent({ keepAlive: false });
    const outcome = await new Promise<string>((resolve, reject) => {
      const headers = { expect: "100-continue", "content-length": "1000000" };
      const asked = request({ hostname, port, agent, method: "PUT", path: `/${bucket}/key`, headers });
      asked.on("continue", () => resolve("told to go on"));
      asked.on("response", (response) => {
        resolve(`${response.statusCode} ${response.headers.connection}`);
        asked.destroy();
      });
      asked.on("error", reject);
      asked.flushHeaders();
    });
    expect(outcome).toBe("403 close");
  });
});

describe("addresses", () => {
  test("may carry the bucket in the host name", async () => {
    const { bench, server, bucket } = await prepare();
    await put(server, bucket, "a/b", "hello");
    const { port } = new URL(server.endpoint);
    // Names below localhost lead to this machine, but not every resolver knows that.
    const client = bench.connect(`http://localhost:${port}`, { forcePathStyle: false });
    client.middlewareStack.add(
      (next) => async (args) => {
        const { request: sent } = args as { request: { hostname: string; headers: Record<string, string> } };
        expect(sent.hostname).toBe(`${bucket}.localhost`);
        sent.hostname = "127.0.0.1";
        return next(args);
      },
      { step: "deserialize", priority: "low" },
    );
    expect(await readText({ client }, bucket, "a/b")).toBe("hello");
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    expect(Contents?.map(({ Key }) => Key)).toEqual(["a/b"]);
  });

  test("are on the loopback interface only", async () => {
    const { server } = await prepare();
    const { hostname, port } = new URL(server.url);
    expect(hostname).toBe("127.0.0.1");
    // Another address of this machine: a server on all interfaces would answer there.
    await expect(sendHttp(`http://127.0.0.2:${port}/`)).rejects.toThrow();
  });
});

describe("what is not implemented", () => {
  test("says so, by name", async () => {
    const { server, bucket } = await prepare();
    const { client } = server;
    await put(server, bucket, "key", "x");
    const where = { Bucket: bucket, Key: "key" };
    const outcomes = await Promise.all([
      failureOf(client.send(new GetBucketAclCommand({ Bucket: bucket }))),
      failureOf(client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: "{}" }))),
      failureOf(
        client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: "Enabled" } })),
      ),
      failureOf(client.send(new ListObjectVersionsCommand({ Bucket: bucket }))),
      failureOf(client.send(new PutObjectAclCommand({ ...where, ACL: "public-read" }))),
      failureOf(client.send(new GetObjectAttributesCommand({ ...where, ObjectAttributes: ["ETag"] }))),
      failureOf(client.send(new GetObjectCommand({ ...where, VersionId: "abc" }))),
      failureOf(put(server, bucket, "key", "x", { ServerSideEncryption: "aws:kms" })),
      failureOf(put(server, bucket, "key", "x", { ACL: "public-read" })),
      failureOf(put(server, bucket, "key", "x", { StorageClass: "GLACIER" })),
      failureOf(put(server, bucket, "key", "x", { IfNoneMatch: '"etag"' })),
    ]);
    expect(new Set(outcomes)).toEqual(new Set(["NotImplemented 501"]));
    await expect(client.send(new GetBucketAclCommand({ Bucket: bucket }))).rejects.toThrow(
      'The embedded S3 server does not implement the request "GET bucket?acl".',
    );
    expect(await readText(server, bucket, "key")).toBe("x");
  });
});

describe("injected faults", () => {
  test("throttle the requests they name, and the SDK gets through by trying again", async () => {
    const { bench, server, bucket } = await prepare({
      faults: [{ operation: "PutObject", kind: "throttle", limit: 2 }],
    });
    expect(await failureOf(put(server, bucket, "key", "x"))).toBe("SlowDown 503");
    const client = bench.connect(server.endpoint, { maxAttempts: 3 });
    const answer = await put({ client }, bucket, "key", "y");
    expect(answer.$metadata.attempts).toBe(2);
    expect(await readText(server, bucket, "key")).toBe("y");
  });

  test.each([
    ["error500", "InternalError 500"],
    ["error503", "ServiceUnavailable 503"],
  ] as const)("of the kind %s answer without taking effect", async (kind, outcome) => {
    const { server, bucket } = await prepare({ faults: [{ operation: "PutObject", kind, nth: 1 }] });
    // Larger than 2 MiB: the SDK asks before it sends, and has to be told to go on.
    expect(await failureOf(put(server, bucket, "key", Buffer.alloc(3_000_000)))).toBe(outcome);
    expect(await failureOf(readText(server, bucket, "key"))).toBe("NoSuchKey 404");
    expect(await failureOf(put(server, bucket, "key", "x"))).toBe("succeeded");
  });

  test("break connections", async () => {
    const { bench, server, bucket } = await prepare({ faults: [{ operation: "GetObject", kind: "reset", nth: 1 }] });
    await put(server, bucket, "key", "x");
    await expect(readText(server, bucket, "key")).rejects.toMatchObject({ code: "ECONNRESET" });
    const client = bench.connect(server.endpoint, { maxAttempts: 2 });
    expect(await readText({ client }, bucket, "key")).toBe("x");
  });

  test.each([
    ["small", 10],
    ["large", 100_000],
  ])("delay a %s write until after its client gave up, and it takes effect all the same", async (_what, sizeBytes) => {
    const { server, bucket } = await prepare({
      faults: [{ operation: "PutObject", kind: "delay", delayMs: 300, nth: 1 }],
    });
    const body = "x".repeat(sizeBytes);
    const abort = new AbortController();
    const write = server.client.send(
      new PutObjectCommand({ Bucket: bucket, Key: "key", Body: body, IfNoneMatch: "*" }),
      { abortSignal: abort.signal },
    );
    const gaveUp = expect(write).rejects.toMatchObject({ name: "AbortError" });
    setTimeout(() => abort.abort(), 100);
    await gaveUp;
    await waitFor("the late effect", async () => (await failureOf(readText(server, bucket, "key"))) === "succeeded");
    expect(await readText(server, bucket, "key")).toBe(body);
    // So a client that tries again learns that the key is taken, by its own first attempt.
    expect(await failureOf(put(server, bucket, "key", body, { IfNoneMatch: "*" }))).toBe("PreconditionFailed 412");
  });
});

describe("closing", () => {
  test("lets a download under way finish", async () => {
    const { server, bucket } = await prepare();
    await put(server, bucket, "key", Buffer.alloc(5_000_000, 1));
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket: bucket, Key: "key" }));
    const closed = server.close();
    let bytes = 0;
    for await (const chunk of Body as Readable) bytes += (chunk as Buffer).length;
    server.client.destroy();
    await closed;
    expect(bytes).toBe(5_000_000);
  });

  test("can be asked for twice", async () => {
    const { server, bucket } = await prepare();
    server.client.destroy();
    expect(await Promise.all([server.close(), server.close()])).toEqual([undefined, undefined]);
    await expect(sendHttp(`${server.url}/${bucket}`)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });
});
