import type { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  NoSuchKey,
  NotFound,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { type AwsClientOptions, awsClientOptions, withoutCallLogging } from "./aws-options.ts";

/** An object as a list shows it. */
export interface ListedObject {
  key: string;
  size: number;
}

/** How a stream is stored. */
export interface StreamOptions {
  contentType: string;
  tags?: Readonly<Record<string, string>>;
  signal?: AbortSignal;
}

/** A part of an upload in parts; the entity tag is in hexadecimal, without quotes. */
export interface UploadedPart {
  part: number;
  etag: string;
}

/** How completing an upload in parts ended: `gone` where there is no such upload (any more). */
export type CompletedUpload = "completed" | "gone" | "other_parts";

/** The bucket. A missing object is `undefined`, never an exception; an aborted signal ends a call with an error. */
export interface ObjectStore {
  put(key: string, body: Uint8Array | string, contentType: string, signal?: AbortSignal): Promise<void>;
  /** Writes only where nothing is; false says that somebody was first. */
  putIfAbsent(key: string, body: Uint8Array | string, contentType: string, signal?: AbortSignal): Promise<boolean>;
  /** Uploads a stream of unknown length in parts with flat memory; aborting leaves nothing behind. */
  putStream(key: string, body: Readable, options: StreamOptions): Promise<void>;
  get(key: string, signal?: AbortSignal): Promise<Uint8Array | undefined>;
  getStream(key: string): Promise<Readable | undefined>;
  /** Bytes of an object. */
  size(key: string): Promise<number | undefined>;
  /** Removes an object, if there is one. */
  remove(key: string): Promise<void>;
  /** One page of the objects under a prefix in key order, after `startAfter`; `more` says that others follow. */
  list(
    prefix: string,
    options?: { startAfter?: string; limit?: number },
  ): Promise<{ objects: ListedObject[]; more: boolean }>;
  /** Names of the folders right under a prefix that ends with `/`, in key order, a thousand at most. */
  listFolders(prefix: string): Promise<string[]>;
  presignGet(key: string, options: { expiresSeconds: number; fileName?: string }): Promise<string>;
  presignPut(key: string, options: { expiresSeconds: number }): Promise<string>;
  /** Begins an upload in parts that others send by presigned links; answers its id. */
  beginParts(key: string): Promise<string>;
  /** The parts that have arrived; undefined where there is no such upload. */
  listParts(key: string, uploadId: string): Promise<UploadedPart[] | undefined>;
  presignPart(key: string, uploadId: string, part: number, options: { expiresSeconds: number }): Promise<string>;
  /** Makes an object of parts, in their order, where they are those that arrived and have so many bytes together. */
  completeParts(key: string, uploadId: string, parts: readonly UploadedPart[], bytes: number): Promise<CompletedUpload>;
  /** Gives an upload up, if there is one; its parts are removed. */
  abortParts(key: string, uploadId: string): Promise<void>;
}

const partBytes = 8 * 1024 * 1024;
const parallelParts = 4;

/**
 * For clients that make links to upload by: by default the SDK signs the checksum of an empty body into each, and
 * begins uploads whose every part must carry one.
 */
export const presigningOptions = {
  requestChecksumCalculation: "WHEN_REQUIRED",
} as const satisfies S3ClientConfig;

/** The S3 client of this process. Path style, because an embedded endpoint has no host name per bucket. */
export function createS3Client(
  options: AwsClientOptions & Pick<S3ClientConfig, "requestChecksumCalculation"> = awsClientOptions,
): S3Client {
  return withoutCallLogging(new S3Client({ ...options, forcePathStyle: true }));
}

/** A bucket by its name. */
export function createObjectStore(client: S3Client, bucket: string): ObjectStore {
  return {
    async put(key, body, contentType, signal) {
      const command = new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, ContentType: contentType });
      await client.send(command, until(signal));
    },
    async putIfAbsent(key, body, contentType, signal) {
      const command = new PutObjectCommand({
        Bucket: bucket,
        Key: key,
        Body: body,
        ContentType: contentType,
        IfNoneMatch: "*",
      });
      try {
        await client.send(command, until(signal));
        return true;
      } catch (error) {
        if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412) return false;
        throw error;
      }
    },
    async putStream(key, body, { contentType, tags = {}, signal }) {
      signal?.throwIfAborted();
      const upload = new Upload({
        client,
        params: {
          Bucket: bucket,
          Key: key,
          Body: body,
          ContentType: contentType,
          ...(Object.keys(tags).length > 0 && { Tagging: new URLSearchParams(tags).toString() }),
        },
        partSize: partBytes,
        queueSize: parallelParts,
      });
      const abort = () => void upload.abort();
      signal?.addEventListener("abort", abort, { once: true });
      try {
        await upload.done();
      } catch (error) {
        // Why it was given up says more than that it was.
        signal?.throwIfAborted();
        throw error;
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    },
    async get(key, signal) {
      const body = await getBody(client, bucket, key, signal);
      return body?.transformToByteArray();
    },
    async getStream(key) {
      const body = await getBody(client, bucket, key);
      return body as Readable | undefined;
    },
    async size(key) {
      try {
        const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
        return head.ContentLength ?? 0;
      } catch (error) {
        if (error instanceof NotFound) return undefined;
        throw error;
      }
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    },
    async list(prefix, { startAfter, limit = 1000 } = {}) {
      const answer = await client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          MaxKeys: limit,
          ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
        }),
      );
      const objects = (answer.Contents ?? []).map((object) => ({ key: object.Key ?? "", size: object.Size ?? 0 }));
      return { objects, more: answer.IsTruncated ?? false };
    },
    async listFolders(prefix) {
      const answer = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, Delimiter: "/" }));
      return (answer.CommonPrefixes ?? []).map((folder) => (folder.Prefix ?? "").slice(prefix.length, -1));
    },
    presignGet(key, { expiresSeconds, fileName }) {
      const command = new GetObjectCommand({
        Bucket: bucket,
        Key: key,
        ...(fileName === undefined ? {} : { ResponseContentDisposition: `attachment; filename="${fileName}"` }),
      });
      return getSignedUrl(client, command, { expiresIn: expiresSeconds });
    },
    presignPut(key, { expiresSeconds }) {
      return getSignedUrl(client, new PutObjectCommand({ Bucket: bucket, Key: key }), { expiresIn: expiresSeconds });
    },
    ...createPartStore(client, bucket),
  };
}

type PartStore = Pick<ObjectStore, "beginParts" | "listParts" | "presignPart" | "completeParts" | "abortParts">;

/** Uploads in parts whose bytes pass by: others send them. */
function createPartStore(client: S3Client, bucket: string): PartStore {
  return {
    async beginParts(key) {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }));
      if (UploadId === undefined) throw new Error(`S3 began an upload of ${key} without an id`);
      return UploadId;
    },
    async listParts(key, uploadId) {
      const parts: UploadedPart[] = [];
      let marker: string | undefined;
      try {
        do {
          const page = await client.send(
            new ListPartsCommand({ Bucket: bucket, Key: key, UploadId: uploadId, PartNumberMarker: marker }),
          );
          for (const { PartNumber = 0, ETag = "" } of page.Parts ?? []) {
            parts.push({ part: PartNumber, etag: ETag.replaceAll('"', "") });
          }
          marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
        } while (marker !== undefined);
      } catch (error) {
        if (isNoSuchUpload(error)) return undefined;
        throw error;
      }
      return parts;
    },
    presignPart(key, uploadId, part, { expiresSeconds }) {
      const command = new UploadPartCommand({ Bucket: bucket, Key: key, UploadId: uploadId, PartNumber: part });
      return getSignedUrl(client, command, { expiresIn: expiresSeconds });
    },
    async completeParts(key, uploadId, parts, bytes) {
      const Parts = parts.map(({ part, etag }) => ({ PartNumber: part, ETag: `"${etag}"` }));
      try {
        await client.send(
          new CompleteMultipartUploadCommand({
            Bucket: bucket,
            Key: key,
            UploadId: uploadId,
            MultipartUpload: { Parts },
            MpuObjectSize: bytes,
          }),
        );
        return "completed";
      } catch (error) {
        if (isNoSuchUpload(error)) return "gone";
        const isRefused = error instanceof S3ServiceException && error.$metadata.httpStatusCode === 400;
        if (isRefused && /^(InvalidPart|InvalidRequest|EntityTooSmall)/.test(error.name)) return "other_parts";
        throw error;
      }
    },
    async abortParts(key, uploadId) {
      try {
        await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }));
      } catch (error) {
        if (!isNoSuchUpload(error)) throw error;
      }
    },
  };
}

function isNoSuchUpload(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === "NoSuchUpload";
}

/** Tells whether what went wrong with a call may pass: the bucket was not reached, failed or throttled; it did not refuse. */
export function isPassingFault(error: unknown): boolean {
  if (error instanceof S3ServiceException) {
    const status = error.$metadata.httpStatusCode ?? 500;
    return status >= 500 || status === 429;
  }
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? String(error.code) : "";
  return error.name === "TimeoutError" || /^(ECONN|EHOST|ENET|EPIPE|ETIMEDOUT|EAI_AGAIN|ENOTFOUND)/.test(code);
}

function until(signal: AbortSignal | undefined) {
  return signal === undefined ? {} : { abortSignal: signal };
}

async function getBody(client: S3Client, bucket: string, key: string, signal?: AbortSignal) {
  try {
    const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }), until(signal));
    return answer.Body;
  } catch (error) {
    if (error instanceof NoSuchKey) return undefined;
    throw error;
  }
}
