import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { beforeAll, describe, expect } from "vitest";
import { createBucket, createClient, put, readText, type Suite, sendHttp } from "./target.ts";

/** Presigned requests: what they allow, and everything they do not. */
export function describePresigned({ it, target }: Suite): void {
  describe("presigned requests", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
      await put(target(), bucket, "read me +ü", "hello");
    });
    const signGet = (Key = "read me +ü", expiresIn = 60) =>
      getSignedUrl(target().client, new GetObjectCommand({ Bucket: bucket, Key }), { expiresIn });
    const signPut = (Key: string, more: object = {}) =>
      getSignedUrl(target().client, new PutObjectCommand({ Bucket: bucket, Key, ...more }), { expiresIn: 60 });
    const codeOf = (text: string) => /<Code>(\w+)<\/Code>/.exec(text)?.[1];

    it("read an object without keys", async () => {
      const { status, text } = await sendHttp(await signGet());
      expect([status, text]).toEqual([200, "hello"]);
    });

    it("read a range of it", async () => {
      const { status, text } = await sendHttp(await signGet(), { headers: { range: "bytes=1-2" } });
      expect([status, text]).toEqual([206, "el"]);
    });

    it("write an object without keys, with the checksum of an empty body that the SDK signs in", async () => {
      const url = await signPut("written", { Metadata: { from: "query" } });
      const { status } = await sendHttp(url, { method: "PUT", body: "hello", headers: { "content-type": "text/x" } });
      expect(status).toBe(200);
      const head = await target().client.send(new HeadObjectCommand({ Bucket: bucket, Key: "written" }));
      expect(head).toMatchObject({ ContentType: "text/x", Metadata: { from: "query" }, ContentLength: 5 });
    });

    it("write an object only once where If-None-Match was signed", async () => {
      const url = await signPut("once", { IfNoneMatch: "*" });
      const write = async () =>
        (await sendHttp(url, { method: "PUT", body: "x", headers: { "if-none-match": "*" } })).status;
      expect([await write(), await write()]).toEqual([200, 412]);
    });

    it("are refused without a header that was signed", async () => {
      const url = await signPut("unsigned", { IfNoneMatch: "*" });
      const without = await sendHttp(url, { method: "PUT", body: "y" });
      expect([without.status, codeOf(without.text)]).toEqual([403, "SignatureDoesNotMatch"]);
    });

    it("write a part without keys", async () => {
      const { client } = target();
      const where = { Bucket: bucket, Key: "parts" };
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(where));
      const command = new UploadPartCommand({ ...where, UploadId, PartNumber: 1 });
      const { status, headers } = await sendHttp(await getSignedUrl(client, command, { expiresIn: 60 }), {
        method: "PUT",
        body: "by part",
      });
      expect(status).toBe(200);
      const Parts = [{ PartNumber: 1, ETag: headers.etag }];
      await client.send(new CompleteMultipartUploadCommand({ ...where, UploadId, MultipartUpload: { Parts } }));
      expect(await readText(target(), bucket, "parts")).toBe("by part");
    });

    it("are refused once they have expired", async () => {
      const { client } = target();
      const command = new GetObjectCommand({ Bucket: bucket, Key: "read me +ü" });
      const signingDate = new Date(Date.now() - 120_000);
      const expired = await getSignedUrl(client, command, { expiresIn: 60, signingDate });
      const { status, text } = await sendHttp(expired);
      expect([status, codeOf(text)]).toEqual([403, "AccessDenied"]);
      const valid = await getSignedUrl(client, command, { expiresIn: 180, signingDate });
      expect((await sendHttp(valid)).status).toBe(200);
    });

    it("are refused when anything in them was changed", async () => {
      const url = await signGet();
      const changed = [
        [url.replace("read%20me", "other"), "GET"],
        [url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"), "GET"],
        [url.replace(/X-Amz-Signature=\w{4}/, "X-Amz-Signature=0000"), "GET"],
        [`${url}&response-content-type=text%2Fhtml`, "GET"],
        [url, "PUT"],
        [url, "DELETE"],
      ] as const;
      for (const [changedUrl, method] of changed) {
        const { status, text } = await sendHttp(changedUrl, { method });
        expect([status, codeOf(text)]).toEqual([403, "SignatureDoesNotMatch"]);
      }
      expect(await readText(target(), bucket, "read me +ü")).toBe("hello");
    });

    it("are refused when they were signed with other keys", async () => {
      const command = new GetObjectCommand({ Bucket: bucket, Key: "read me +ü" });
      const { credentials } = target();
      for (const [changed, code] of [
        [{ ...credentials, secretAccessKey: "other" }, "SignatureDoesNotMatch"],
        [{ ...credentials, accessKeyId: "other" }, "InvalidAccessKeyId"],
      ] as const) {
        const client = createClient({ ...target(), credentials: changed });
        const { status, text } = await sendHttp(await getSignedUrl(client, command, { expiresIn: 60 }));
        client.destroy();
        expect([status, codeOf(text)]).toEqual([403, code]);
      }
    });

    it("are the only way in without keys", async () => {
      const object = `${target().endpoint}/${bucket}/read%20me%20%2B%C3%BC`;
      for (const [method, url] of [
        ["GET", object],
        ["PUT", object],
        ["DELETE", object],
        ["GET", `${target().endpoint}/${bucket}`],
        ["GET", `${target().endpoint}/`],
      ] as const) {
        const { status, text } = await sendHttp(url, { method });
        expect([status, codeOf(text)]).toEqual([403, "AccessDenied"]);
      }
      expect((await sendHttp(object, { method: "HEAD" })).status).toBe(403);
    });
  });
}
